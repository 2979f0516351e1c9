"""What the fake platform's servicers share: ids, pages, and the answer for what does not exist."""

import secrets
from typing import Any

import grpc
from google.protobuf.message import Message

from tests.fakes.rpc import refuse

Context = grpc.aio.ServicerContext


def new_id() -> str:
    return secrets.token_hex(16)


class Servicer:
    def __init__(self, platform: Any) -> None:
        self.p = platform


def paged(request: Any, response: type[Message], field: str, items: list[Any]) -> Any:
    """Real pages, two entries at most, so that clients prove that they ask for the next one."""
    start = int(request.page_token or 0)
    size = min(request.page_size or 2, 2)
    token = str(start + size) if start + size < len(items) else ""
    return response(**{field: items[start : start + size], "next_page_token": token})


async def found(context: Context, store: dict[str, Any], key: str, resource: str) -> Any:
    if key not in store:
        await refuse(context, grpc.StatusCode.NOT_FOUND, "NOT_FOUND", f"there is no {resource} {key}", resource=resource, id=key)
    return store[key]
