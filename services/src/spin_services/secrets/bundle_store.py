"""Keeps what was issued to runtimes, and for which workspaces. docs/protocol.md, section 6.

- A runtime is named by its home and its id: nobody who enrols a runtime elsewhere under the same id gets near this one's bundles.
- Bundles of a runtime are issued one after another, and its least version is told between two of them: a bundle that is issued after a revocation was
  taken into account holds nothing of what was revoked.
- A workspace that synchronises with a runtime is one of its sharers for as long as a bundle lives.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from spin_services.database import Database
from spin_services.secrets.changes import insert_if_absent
from spin_services.secrets.domain import Issued, holds_all, least_version, next_version
from spin_services.secrets.tables import BundleRow, IssueRow, SharerRow, StateRow

# A session's connections change seldom, so its bundle is among the newest; with an older one the runtime is asked to synchronise.
LOOKED_AT = 50


@dataclass(frozen=True, slots=True)
class Issue:
    """A bundle's number, and the digest of the bundle that the runtime holds (empty for none that was issued to it)."""

    version: int
    prev_digest: bytes


class BundleStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def share(self, home: str, runtime_id: str, workspace_id: str, now_ms: int, life_ms: int) -> list[str]:
        """The workspaces that use the runtime, with this one."""
        key = {"home": home, "runtime_id": runtime_id, "workspace_id": workspace_id}
        async with self._database.session() as session:
            dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
            upsert = dialect.insert(SharerRow).values(**key, asked_at_ms=now_ms)
            await session.execute(upsert.on_conflict_do_update(index_elements=list(key), set_={"asked_at_ms": now_ms}))
            lately = (col(SharerRow.home) == home, col(SharerRow.runtime_id) == runtime_id, col(SharerRow.asked_at_ms) > now_ms - life_ms)
            found = (await session.scalars(select(col(SharerRow.workspace_id)).where(*lately))).all()
            await session.commit()
        return sorted(found)

    async def held(self, home: str, runtime_id: str, version: int) -> BundleRow | None:
        async with self._database.reading() as session:
            row = await session.get(BundleRow, (runtime_id, version))
        return row if row is not None and row.home == home else None

    async def needed(self, homes: Sequence[str], runtime_id: str, counts: Mapping[str, int], now_ms: int) -> int:
        """The lowest version of the runtime's bundles that holds the counts; what is not issued yet, when the newest does not."""
        async with self._database.reading() as session:
            bundles = await _living(session, homes, runtime_id, now_ms)
            issued = await session.get(IssueRow, runtime_id)
        lowest = (issued.last_version if issued is not None else 0) + 1
        for bundle in bundles:
            if not holds_all(orjson.loads(bundle.holds), counts):
                break
            lowest = bundle.version
        return lowest

    async def least(self, home: str, runtime_id: str, now_ms: int) -> int:
        """From which version on no bundle of the runtime holds what was revoked since."""
        async with self._database.session() as session:
            issued = await _locked(session, runtime_id)
            bundles = [_issued(row) for row in await _living(session, [home], runtime_id, now_ms)]
            places = {place for bundle in bundles for place in bundle.workspaces}
            states = await session.scalars(select(StateRow).where(col(StateRow.workspace_id).in_(places)))
            return least_version(issued.last_version, bundles, {state.workspace_id: state.revocations for state in states})

    async def issue(self, runtime_id: str, held: int, sign: Callable[[Issue, AsyncSession], Awaitable[BundleRow]]) -> None:
        """Number a bundle and keep its digest; `sign` reads what it holds and makes it inside the transaction."""
        async with self._database.session() as session:
            row = await _locked(session, runtime_id)
            version = next_version(row.last_version, held)
            before = await session.get(BundleRow, (runtime_id, held))
            row.last_version = version
            session.add(row)
            session.add(await sign(Issue(version, before.digest if before is not None else b""), session))
            await session.commit()


async def _locked(session: AsyncSession, runtime_id: str) -> IssueRow:
    await session.execute(insert_if_absent(session, IssueRow, {"runtime_id": runtime_id, "last_version": 0}))
    return (await session.scalars(select(IssueRow).where(col(IssueRow.runtime_id) == runtime_id).with_for_update())).one()


async def _living(session: AsyncSession, homes: Sequence[str], runtime_id: str, now_ms: int) -> Sequence[BundleRow]:
    """The newest bundles that have not expired, newest first."""
    mine = (col(BundleRow.runtime_id) == runtime_id, col(BundleRow.home).in_(homes), col(BundleRow.expires_at_ms) > now_ms)
    return (await session.scalars(select(BundleRow).where(*mine).order_by(col(BundleRow.version).desc()).limit(LOOKED_AT))).all()


def _issued(row: BundleRow) -> Issued:
    return Issued(row.version, tuple(orjson.loads(row.holds)), orjson.loads(row.revocations))
