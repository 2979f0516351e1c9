"""RuntimeFrames built around bytes that are not copied twice.

Protobuf's own writer copies an output three times on its way into a frame. Here the same encoding is put together from pieces, joined
once. A test parses what comes out with protobuf and compares.
"""

from collections.abc import Iterable, Sequence

from spin_runtime.kernels.api import KernelMessage
from spinapis.envelope.v1 import run_pb2
from spinapis.runtime.v1 import frames_pb2

# Field tags: number << 3 | 2 (length-delimited) or | 0 (varint).
_FRAME_POSITION, _FRAME_OUTPUTS = b"\x08", b"\x32"
_BATCH_NONCE, _BATCH_CELL, _BATCH_OUTPUT = b"\x0a", b"\x12", b"\x1a"
_OUTPUT_INDEX, _OUTPUT_KIND, _OUTPUT_BODY = b"\x08", b"\x10", b"\x1a"
_BODY_CONTENT, _BODY_METADATA, _BODY_BUFFER = b"\x0a", b"\x12", b"\x1a"


def varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def output_body(message: KernelMessage) -> bytes:
    """A serialized OutputBody."""
    content, metadata = message.content, message.metadata
    parts = [_BODY_CONTENT, varint(len(content)), content, _BODY_METADATA, varint(len(metadata)), metadata]
    for buffer in message.buffers:
        parts += (_BODY_BUFFER, varint(len(buffer)), buffer)
    return b"".join(parts)


def output(index: int, kind: int, body: bytes) -> tuple[bytes, bytes]:
    """An Output as a field of OutputBatch, in two pieces: what stands before the body, and the body."""
    head = _OUTPUT_INDEX + varint(index) + _OUTPUT_KIND + varint(kind) + _OUTPUT_BODY + varint(len(body))
    return _BATCH_OUTPUT + varint(len(head) + len(body)) + head, body


def batch_target(nonce: run_pb2.RunNonce, cell_id: str) -> bytes:
    """The fields of OutputBatch that say whose outputs follow."""
    name, cell = nonce.SerializeToString(), cell_id.encode()
    return _BATCH_NONCE + varint(len(name)) + name + _BATCH_CELL + varint(len(cell)) + cell


def batch_field(target: bytes, pieces: Iterable[bytes], size: int) -> list[bytes]:
    """The `outputs` field of a RuntimeFrame in pieces; `size` is the sum of the pieces' lengths."""
    return [_FRAME_OUTPUTS + varint(len(target) + size) + target, *pieces]


def with_position(position: int, pieces: Sequence[bytes]) -> bytes:
    """A serialized RuntimeFrame."""
    return b"".join((_FRAME_POSITION, varint(position), *pieces))


def pieces_of(frame: frames_pb2.RuntimeFrame) -> list[bytes]:
    """A frame made by protobuf, without its position."""
    return [frame.SerializeToString()]
