"""The attach handshake, pure: what to say and what to believe. docs/protocol.md, section 4.

The client's session key proves that the holder of the capability opened the socket. The runtime's Hello is believed when the enrolled
identity signed it over this challenge and this nonce: a fake host, a rebound name or an old answer fails here.
"""

import hashlib
import secrets
from dataclasses import dataclass, field

from spin_client.sdk.errors import TRUST_REFUSED, SpinError
from spin_client.sdk.trust import EnrolledRuntime
from spin_envelope.digests import signed_digest
from spin_envelope.errors import Refused
from spin_envelope.keys import SigningKey
from spin_envelope.signing import sign, verify
from spinapis.auth.v1 import trust_pb2
from spinapis.envelope.v1 import attach_pb2
from spinapis.runtime.v1 import frames_pb2

# A client that is not a browser sends no Origin.
ORIGIN = ""


@dataclass(frozen=True)
class ClientKey:
    """Made for one session object; lives in memory only."""

    key: SigningKey = field(default_factory=SigningKey.generate, repr=False)

    @property
    def cnf(self) -> bytes:
        return hashlib.sha256(self.key.public).digest()


@dataclass(frozen=True)
class Attachment:
    """An attachment that both sides proved; `hello` and `challenge` as carried, for compiler and secrets."""

    hello: bytes
    challenge: bytes
    boot_id: bytes
    bundle_version: int
    trust_version: int
    # The workspace that enrolled the runtime, and the note of its log that the runtime holds; empty before the first.
    home_id: bytes
    checkpoint: bytes


@dataclass(frozen=True)
class Opening:
    """What was said in ClientHello, to hold the Hello against."""

    frame: frames_pb2.ClientFrame
    challenge: bytes
    nonce: bytes
    session_id: bytes


def open_with(
    key: ClientKey, granted: trust_pb2.IssueCapabilityResponse, root_documents: list[bytes], trust_state: bytes, session_id: bytes
) -> Opening:
    nonce = secrets.token_bytes(32)
    trust = frames_pb2.TrustDocuments(root_documents=root_documents, trust_state=trust_state)
    hello = frames_pb2.ClientHello(capability=granted.capability, challenge=granted.challenge, nonce_b=nonce, session_key=key.key.public, trust=trust)
    return Opening(frames_pb2.ClientFrame(client_hello=hello), granted.challenge, nonce, session_id)


def check_hello(data: bytes, opening: Opening, runtime: EnrolledRuntime) -> Attachment:
    """TRUST_REFUSED with what is wrong; a person may have to act on it."""
    try:
        hello = verify(data, attach_pb2.Hello, [runtime.identity]).message
    except Refused:
        raise SpinError(TRUST_REFUSED, "whoever answers at the runtime's address does not hold the enrolled runtime's key") from None
    wrong = _mismatch(hello, opening, runtime)
    if wrong:
        raise SpinError(TRUST_REFUSED, f"the runtime's Hello is not an answer to this attachment: {wrong} differs")
    return Attachment(data, opening.challenge, hello.boot_id, hello.bundle_version, hello.trust_version, hello.workspace_id, hello.checkpoint)


def _mismatch(hello: attach_pb2.Hello, opening: Opening, runtime: EnrolledRuntime) -> str:
    checks = {
        "workspace": hello.workspace_id == runtime.workspace_id,
        "runtime": hello.runtime_id == runtime.runtime_id,
        "challenge": hello.challenge_digest == signed_digest(opening.challenge),
        "nonce": hello.nonce_b == opening.nonce,
        "origin": hello.origin == ORIGIN,
        "session": hello.session_id == opening.session_id,
    }
    return next((name for name, equal in checks.items() if not equal), "")


def answer_hello(key: ClientKey, hello: bytes) -> frames_pb2.ClientFrame:
    auth = attach_pb2.ClientAuth(hello_digest=signed_digest(hello), origin=ORIGIN)
    return frames_pb2.ClientFrame(client_auth=frames_pb2.ClientAuth(auth=sign(auth, key.key)))
