"""What changes in a workspace: told to its log, and to those who watch it.

Rules: the log hears of a creation or deletion before it is committed; watchers hear of a change after it was. A watcher whose messages may have
been lost gets CHANGE_STARTED again and reads everything anew.
"""

from collections.abc import AsyncIterator

import orjson

from spin_services.database import Notifier
from spin_services.database.notify import MISSED
from spin_services.rpc.audit_log import AuditLog
from spin_services.rpc.identity import current_caller
from spin_services.workspace.transaction import Before
from spinapis.audit.v1.audit_pb2 import NewEntry
from spinapis.workspace.v1.workspaces_pb2 import WatchWorkspaceResponse as Event

CREATED, UPDATED, DELETED = Event.CHANGE_CREATED, Event.CHANGE_UPDATED, Event.CHANGE_DELETED


class Changes:
    def __init__(self, log: AuditLog, notifier: Notifier) -> None:
        self._log = log
        self._notifier = notifier

    def logged(self, workspace_id: str, resource: str, verb: str, identifier: str, once: str = "", **body: object) -> Before:
        """What a store is to call before it commits. `once` tells apart what may happen to a resource several times."""

        async def append() -> None:
            related = [f"{kind.removesuffix('_id')}:{value}" for kind, value in body.items() if kind.endswith("_id") and value]
            entry = NewEntry(
                idempotency_key=":".join(part for part in (resource, verb, identifier, once) if part),
                type=f"{resource}.{verb}",
                user_id=current_caller().user_id,
                subjects=[f"{resource}:{identifier}", *related],
                body_json=orjson.dumps({f"{resource}_id": identifier, **body}).decode(),
            )
            await self._log.append(workspace_id, entry)

        return append

    async def tell(self, workspace_id: str, change: Event.Change.ValueType, resource: str, identifier: str, etag: str = "") -> None:
        event = Event(change=change, resource=resource, id=identifier, etag=etag, user_id=current_caller().user_id)
        await self._notifier.publish(_channel(workspace_id), event.SerializeToString().hex())

    async def watch(self, workspace_id: str) -> AsyncIterator[Event]:
        async with self._notifier.subscribe(_channel(workspace_id)) as payloads:
            yield Event(change=Event.CHANGE_STARTED)
            async for payload in payloads:
                yield Event(change=Event.CHANGE_STARTED) if payload == MISSED else Event.FromString(bytes.fromhex(payload))


def _channel(workspace_id: str) -> str:
    return f"w_{workspace_id}"
