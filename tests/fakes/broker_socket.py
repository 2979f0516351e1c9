"""The broker's socket as code in a kernel would use it."""

import asyncio
from typing import Any

from spin_envelope.digests import canonical_json
from spin_runtime.broker.refusals import reason_name
from spinapis.runtime.v1 import broker_pb2

CONNECTION = b"c" * 16


async def asked(path: str, ticket: bytes, operation: str, params: Any = None, connection_id: bytes = CONNECTION) -> list[broker_pb2.UseReply]:
    """Every reply to one request, as code in the kernel would get them."""
    request = broker_pb2.UseRequest(ticket=ticket, connection_id=connection_id, operation=operation)
    request.params_json = params if isinstance(params, bytes) else canonical_json({} if params is None else params)
    return await sent(path, request.SerializeToString())


async def sent(path: str, data: bytes, length: int | None = None) -> list[broker_pb2.UseReply]:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write((len(data) if length is None else length).to_bytes(4) + data)
    replies = []
    try:
        while True:
            replies.append(broker_pb2.UseReply.FromString(await reader.readexactly(int.from_bytes(await reader.readexactly(4)))))
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return replies
    finally:
        writer.close()


def failed(replies: list[broker_pb2.UseReply], reason: int) -> str:
    (reply,) = replies
    assert reason_name(reply.failure.reason) == reason_name(reason)
    return reply.failure.message
