"""From a stranger to an attached client: pairing frames while the runtime is unpaired, else ClientHello, Hello, ClientAuth."""

from spin_runtime.broker.api import Attachment, Broker, BrokerError
from spin_runtime.server.wire import Fatal, FrameSocket, violation
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2

NOT_PAIRED = "This runtime belongs to no workspace yet. Add it to one: open the workspace's runtimes page."
PAIRED_ALREADY = "What runs at this address is paired already. For a new identity, stop it, put var/broker in its SPIN_HOME aside, and try again."
HELLO_FIRST = "A connection begins with ClientHello, then ClientAuth."


async def pair(socket: FrameSocket, broker: Broker, first: frames_pb2.ClientFrame) -> None:
    """Answers the two pairing frames; the connection is over afterwards."""
    if first.WhichOneof("body") != "pairing_start":
        raise Fatal(reasons_pb2.ERROR_REASON_NOT_PAIRED, NOT_PAIRED)
    try:
        await socket.send(frames_pb2.RuntimeFrame(enrol_request=await broker.pairing_start()))
        frame = await socket.receive()
        if frame.WhichOneof("body") != "pairing_finish":
            raise violation("PairingStart is followed by PairingFinish.")
        finish = frame.pairing_finish
        status = await broker.pairing_finish(finish.enrol_grant, list(finish.root_documents))
    except BrokerError as error:
        raise Fatal(error.reason, error.text, **error.metadata) from error
    paired = frames_pb2.Paired(workspace_id=status.workspace_id, runtime_id=status.runtime_id, fingerprint=status.fingerprint)
    await socket.send(frames_pb2.RuntimeFrame(paired=paired))


async def attach(socket: FrameSocket, broker: Broker, first: frames_pb2.ClientFrame, origin: str) -> Attachment:
    try:
        hello, handle = await _hello(broker, first, origin)
        try:
            await socket.send(frames_pb2.RuntimeFrame(hello=hello))
            frame = await socket.receive()
            if frame.WhichOneof("body") != "client_auth":
                raise violation(HELLO_FIRST)
            return await broker.attach(handle, frame.client_auth.auth)
        except BaseException:
            # Also who was attached just when the time was over.
            await broker.detach(handle)
            raise
    except BrokerError as error:
        raise Fatal(error.reason, error.text, **error.metadata) from error


async def _hello(broker: Broker, frame: frames_pb2.ClientFrame, origin: str) -> tuple[bytes, bytes]:
    kind = frame.WhichOneof("body")
    if kind == "pairing_start":
        raise Fatal(reasons_pb2.ERROR_REASON_ALREADY_EXISTS, PAIRED_ALREADY)
    if kind != "client_hello":
        raise violation(HELLO_FIRST)
    said = frame.client_hello
    trust = said.trust
    return await broker.hello(said.capability, said.challenge, said.nonce_b, said.session_key, origin, list(trust.root_documents), trust.trust_state)
