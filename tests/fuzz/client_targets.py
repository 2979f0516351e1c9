"""What clients read from a runtime that may be in anybody's hands."""

from google.rpc.status_pb2 import Status
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata

from spin_client.sdk.errors import SpinError, from_frame, from_rpc
from spin_client.sdk.events import output_of, state_of
from spin_client.sdk.handshake import ClientKey, check_hello, open_with
from spin_client.sdk.outputs import NotebookOutputs
from spin_client.sdk.trust import EnrolledRuntime
from spin_client.sdk.wire import _frame
from spin_envelope.digests import signed_digest
from spinapis.auth.v1.trust_pb2 import IssueCapabilityResponse
from spinapis.envelope.v1.attach_pb2 import Challenge, Hello
from spinapis.runtime.v1 import frames_pb2
from tests.fuzz.documents import IDENTITY, client, hello_fields, signed, wire
from tests.fuzz.target import Target

RUNTIME = EnrolledRuntime(b"w" * 16, b"r" * 16, IDENTITY.verify_key, b"f" * 32, 1, True)
CHALLENGE = signed(b"", Challenge)


def frame(data: bytes) -> None:
    """A frame, and what the session makes of it: outputs folded into a notebook, states, errors."""
    read = _frame(data)
    match read.WhichOneof("body"):
        case "outputs":
            notebook = NotebookOutputs()
            for output in read.outputs.outputs:
                notebook.apply(output_of(output, read.outputs.cell_id))
            for cell in notebook.cells.values():
                cell.as_nbformat()
        case "run_state":
            state_of(read.run_state)
        case "error":
            from_frame(read.error)


def rpc_error(data: bytes) -> None:
    """What stands in the trailers of an answer, which may be the gateway's own."""
    from_rpc(AioRpcError(StatusCode.INTERNAL, Metadata(), Metadata(("grpc-status-details-bin", data)), "d"), "here")


def hello(data: bytes) -> None:
    """A Hello that the enrolled runtime signed."""
    granted = IssueCapabilityResponse(capability=b"c", challenge=CHALLENGE)
    check_hello(signed(data, Hello, IDENTITY), open_with(ClientKey(client().key), granted, [], b"", client().session_id), RUNTIME)


def _output(kind: int, content: bytes) -> bytes:
    batch = frames_pb2.OutputBatch(cell_id="c")
    batch.outputs.add(index=1, kind=kind, body=wire(frames_pb2.OutputBody(content=content, metadata=b"{}")))  # type: ignore[arg-type]
    return wire(frames_pb2.RuntimeFrame(position=1, outputs=batch))


def _frames() -> list[bytes]:
    contents = (
        b'{"name": "stdout", "text": "a"}',
        b'{"data": {"text/plain": "x"}, "metadata": {}, "transient": {"display_id": "d"}, "execution_count": 1}',
        b'{"ename": "E", "evalue": "v", "traceback": ["a"]}',
        b'{"wait": true}',
        b"not json",
        b'{"data": [1], "transient": "x", "traceback": 1, "metadata": "m"}',
    )
    outputs = [_output(kind, content) for content in contents for kind in range(1, 7)]
    state = frames_pb2.RunState(phase=3, status=99, cell_id="c", reason=7)  # type: ignore[arg-type]
    error = frames_pb2.Error(reason=999, message="m", fatal=True)  # type: ignore[arg-type]
    return [*outputs, wire(frames_pb2.RuntimeFrame(run_state=state)), wire(frames_pb2.RuntimeFrame(error=error)), b"\xff"]


def _hellos() -> list[bytes]:
    made = hello_fields()
    made.challenge_digest = signed_digest(CHALLENGE)
    return [wire(made)]


TARGETS = (
    Target("client.frame", frame, (SpinError,), _frames),
    Target("client.rpc_error", rpc_error, (), lambda: [wire(Status(code=3, message="m"))]),
    Target("client.hello", hello, (SpinError,), _hellos),
)
