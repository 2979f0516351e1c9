"""Pairings, enrolled runtimes and the counters of their runs.

Rules: a pairing is taken by one UPDATE that only one caller can win; seq is allocated by one statement that also demands that the runtime is
still confirmed with the grant that was verified, so that no check and no number can come apart; whoever gets a number is remembered with it, for as
long as the kernel's counter is.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, astuple, dataclass

from sqlalchemy import Connection, case, delete, exists, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from spin_services.auth.principals import Principal
from spin_services.auth.tables import KernelPrincipalRow, PairingRow, RunCounterRow, RuntimeRow
from spin_services.database import Database
from spin_services.rpc.errors import already_exists
from spinapis.envelope.v1.trust_pb2 import RuntimeStatus

# A kernel that rested for so long starts its numbers anew, and the runtime refuses those as replays: safe, if late.
COUNTER_LIFE_MS = 60 * 24 * 3600 * 1000
_ALLOCATE = text(
    """
    INSERT INTO run_counters (workspace_id, runtime_id, boot_id, kernel_epoch, last_seq, used_at_ms)
    SELECT workspace_id, runtime_id, :boot_id, CAST(:kernel_epoch AS BIGINT), 1, CAST(:now_ms AS BIGINT) FROM runtimes
    WHERE workspace_id = :workspace_id AND runtime_id = :runtime_id AND status = :confirmed AND grant_digest = :grant_digest
    ON CONFLICT (workspace_id, runtime_id, boot_id, kernel_epoch)
    DO UPDATE SET last_seq = run_counters.last_seq + 1, used_at_ms = excluded.used_at_ms
    RETURNING last_seq
    """
)
_REMEMBER = text(
    """
    INSERT INTO kernel_principals (workspace_id, runtime_id, boot_id, kernel_epoch, user_id, actor_chain)
    VALUES (:workspace_id, :runtime_id, :boot_id, :kernel_epoch, :user_id, :actor_chain)
    ON CONFLICT DO NOTHING
    """
)


@dataclass(frozen=True, slots=True)
class KernelStart:
    """One start of one kernel of a boot."""

    workspace_id: str
    runtime_id: str
    boot_id: str
    kernel_epoch: int


@dataclass(frozen=True, slots=True)
class NextTrust:
    """What rises from one trust state to the next, and never falls: the version always, the least bundle version when something was revoked."""

    version: int
    min_bundle_version: int


_SAME_KERNEL = (
    col(RunCounterRow.workspace_id) == col(KernelPrincipalRow.workspace_id),
    col(RunCounterRow.runtime_id) == col(KernelPrincipalRow.runtime_id),
    col(RunCounterRow.boot_id) == col(KernelPrincipalRow.boot_id),
    col(RunCounterRow.kernel_epoch) == col(KernelPrincipalRow.kernel_epoch),
)


class RuntimeChange:
    """One transaction over pairings and runtimes."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add_pairing(self, row: PairingRow) -> None:
        self._session.add(row)
        try:
            await self._session.flush()
        except IntegrityError:
            raise already_exists("pairing", row.pairing_id) from None

    async def take_pairing(self, workspace_id: str, pairing_id: str, now_ms: int) -> bool:
        taken = await self._session.scalar(
            update(PairingRow)
            .where(
                col(PairingRow.workspace_id) == workspace_id,
                col(PairingRow.pairing_id) == pairing_id,
                col(PairingRow.used_at_ms) == 0,
                col(PairingRow.expires_at_ms) > now_ms,
            )
            .values(used_at_ms=now_ms)
            .returning(col(PairingRow.pairing_id))
        )
        return taken is not None

    async def runtime(self, workspace_id: str, runtime_id: str) -> RuntimeRow | None:
        return await self._session.get(RuntimeRow, (workspace_id, runtime_id), with_for_update=True)

    async def add_runtime(self, row: RuntimeRow) -> None:
        self._session.add(row)
        try:
            await self._session.flush()
        except IntegrityError:
            raise already_exists("runtime", row.runtime_id) from None

    async def save(self) -> None:
        """Writes the rows that were read here and changed since."""
        await self._session.flush()


class Runtimes:
    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[RuntimeChange]:
        """Commits when the block ends well, and otherwise changes nothing."""
        async with self._database.session() as session:
            yield RuntimeChange(session)
            await session.commit()

    async def pairing(self, workspace_id: str, pairing_id: str) -> PairingRow | None:
        async with self._database.reading() as session:
            return await session.get(PairingRow, (workspace_id, pairing_id))

    async def runtime(self, workspace_id: str, runtime_id: str) -> RuntimeRow | None:
        async with self._database.reading() as session:
            return await session.get(RuntimeRow, (workspace_id, runtime_id))

    async def homes(self, runtime_id: str) -> list[str]:
        """The workspaces that a runtime of that id is enrolled in."""
        async with self._database.reading() as session:
            return list(await session.scalars(select(col(RuntimeRow.workspace_id)).where(col(RuntimeRow.runtime_id) == runtime_id)))

    async def next_trust(self, workspace_id: str, runtime_id: str, least_bundle: int) -> NextTrust | None:
        """None for an unknown runtime."""
        kept = col(RuntimeRow.min_bundle_version)
        async with self._database.session() as session:
            row = await session.execute(
                update(RuntimeRow)
                .where(col(RuntimeRow.workspace_id) == workspace_id, col(RuntimeRow.runtime_id) == runtime_id)
                .values(trust_version=col(RuntimeRow.trust_version) + 1, min_bundle_version=case((kept < least_bundle, least_bundle), else_=kept))
                .returning(col(RuntimeRow.trust_version), kept)
            )
            found = row.one_or_none()
            await session.commit()
            return NextTrust(*found) if found is not None else None

    async def trusted_until(self, workspace_id: str, runtime_id: str, expires_at_ms: int, runs_until_ms: int) -> None:
        """Notes how long the newest trust state lasts."""
        async with self._database.session() as session:
            await session.execute(
                update(RuntimeRow)
                .where(col(RuntimeRow.workspace_id) == workspace_id, col(RuntimeRow.runtime_id) == runtime_id)
                .values(trust_expires_at_ms=expires_at_ms, runs_until_ms=runs_until_ms)
            )
            await session.commit()

    async def allocate_seq(self, kernel: KernelStart, grant_digest: str, principal: Principal, now_ms: int) -> int | None:
        """The next number of a kernel's runs, from 1; None when the runtime is not confirmed with this grant any more."""
        values = asdict(kernel) | {
            "grant_digest": grant_digest,
            "now_ms": now_ms,
            "confirmed": RuntimeStatus.RUNTIME_STATUS_CONFIRMED,
        }
        whose = asdict(kernel) | {"user_id": principal.user_id, "actor_chain": json.dumps(principal.actor_chain)}

        def allocate(connection: Connection) -> int | None:
            seq = connection.execute(_ALLOCATE, values).scalar_one_or_none()
            if seq is not None:
                connection.execute(_REMEMBER, whose)
            return None if seq is None else int(seq)

        return await self._database.in_one_go(allocate)

    async def principals(self, kernel: KernelStart) -> list[Principal]:
        """Those whose runs were granted for it."""
        row = KernelPrincipalRow
        query = select(col(row.user_id), col(row.actor_chain)).where(
            col(row.workspace_id) == kernel.workspace_id,
            col(row.runtime_id) == kernel.runtime_id,
            col(row.boot_id) == kernel.boot_id,
            col(row.kernel_epoch) == kernel.kernel_epoch,
        )
        async with self._database.reading() as session:
            found = (await session.execute(query)).all()
        return sorted((Principal(user_id, tuple(json.loads(chain))) for user_id, chain in found), key=astuple)

    async def sweep(self, now_ms: int) -> None:
        """Forgets counters of kernels that are long gone with whoever ran there, and pairings that expired unused a day ago or more."""
        async with self._database.session() as session:
            await session.execute(delete(RunCounterRow).where(col(RunCounterRow.used_at_ms) < now_ms - COUNTER_LIFE_MS))
            await session.execute(delete(KernelPrincipalRow).where(~exists().where(*_SAME_KERNEL)))
            await session.execute(delete(PairingRow).where(col(PairingRow.expires_at_ms) < now_ms - 24 * 3600 * 1000))
            await session.commit()
