"""A kernel's answers to requests that only read, as frames. Pure.

A kernel may answer anything, and code of anybody may be in it: what is of another form than Jupyter's, or larger than one message of a kernel
may be (SPIN_MESSAGE_BYTES), becomes a refusal for whoever asked.
"""

from collections.abc import Mapping, Sequence

import orjson

from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2

LARGEST_CURSOR = (1 << 32) - 1


class ReplyRefused(Exception):
    """The answer is not passed on; with the reason and what it is about."""

    def __init__(self, reason: reasons_pb2.ErrorReason.ValueType, text: str, **metadata: str) -> None:
        super().__init__(text)
        self.reason, self.text, self.metadata = reason, text, metadata


def completion(request_id: int, content: Mapping[str, object], most_bytes: int) -> frames_pb2.RuntimeFrame:
    """Raises ReplyRefused."""
    reply = frames_pb2.CompleteReply(
        request_id=request_id,
        matches=_texts(content.get("matches", ()), most_bytes),
        cursor_start=_cursor(content.get("cursor_start", 0)),
        cursor_end=_cursor(content.get("cursor_end", 0)),
        metadata_json=_json(content.get("metadata", {})),
    )
    return _bounded(frames_pb2.RuntimeFrame(complete_reply=reply), most_bytes)


def inspection(request_id: int, content: Mapping[str, object], most_bytes: int) -> frames_pb2.RuntimeFrame:
    """Raises ReplyRefused."""
    reply = frames_pb2.InspectReply(request_id=request_id, found=content.get("found") is True, data_json=_json(content.get("data", {})))
    return _bounded(frames_pb2.RuntimeFrame(inspect_reply=reply), most_bytes)


def kernel_reply(request_id: int, msg_type: str, content: bytes, most_bytes: int) -> frames_pb2.RuntimeFrame:
    """Raises ReplyRefused."""
    (checked,) = _texts([msg_type], most_bytes)
    reply = frames_pb2.KernelReply(request_id=request_id, msg_type=checked, content_json=content)
    return _bounded(frames_pb2.RuntimeFrame(kernel_reply=reply), most_bytes)


def _texts(value: object, most_bytes: int) -> list[str]:
    if not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value):
        raise _odd("matches that are no list of texts")
    if sum(map(len, value)) > most_bytes:
        raise _too_large(most_bytes)
    try:
        return [one.encode().decode() for one in value]
    except UnicodeEncodeError:
        raise _odd("a text that is no Unicode") from None


def _cursor(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST_CURSOR:
        raise _odd("a place of the cursor that is none")
    return value


def _json(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        raise _odd("what is no JSON") from None


def _bounded(frame: frames_pb2.RuntimeFrame, most_bytes: int) -> frames_pb2.RuntimeFrame:
    if frame.ByteSize() > most_bytes:
        raise _too_large(most_bytes)
    return frame


def _odd(what: str) -> ReplyRefused:
    text = f"The kernel's answer cannot be used: it has {what}. Restart the kernel if that stays."
    return ReplyRefused(reasons_pb2.ERROR_REASON_UNAVAILABLE, text, service="kernel")


def _too_large(most_bytes: int) -> ReplyRefused:
    text = f"The kernel's answer is larger than {most_bytes} bytes, which is the most that one message of a kernel may have here."
    return ReplyRefused(reasons_pb2.ERROR_REASON_TOO_LARGE, text, limit=str(most_bytes))
