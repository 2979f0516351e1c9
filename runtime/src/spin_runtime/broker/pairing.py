"""Pairing: how a runtime comes to know its workspace. docs/protocol.md, section 3. Pure.

- SPIN_TOKEN pins the first root document; everything else hangs on that.
- A grant counts for the one request that waits, for this identity and this workspace. Afterwards the token authenticates nothing.
"""

from collections.abc import Sequence
from pathlib import Path

from spin_envelope.digests import signed_digest
from spin_envelope.errors import Refused
from spin_envelope.keys import SigningKey
from spin_envelope.pairing import SpinToken
from spin_envelope.sealing import Suite
from spin_envelope.signing import sign, unverified
from spin_runtime.broker.disk import unreadable
from spin_runtime.broker.refusals import Denial
from spin_runtime.broker.state import State
from spin_runtime.broker.trust import Trust, walk
from spin_runtime.broker.witness import Log
from spinapis.envelope.v1 import enrol_pb2, trust_pb2
from spinapis.errors.v1 import reasons_pb2

SUITES = sorted(Suite, reverse=True)


def enrol_request(token: SpinToken, identity: SigningKey, nonce: bytes, image_digest: bytes) -> bytes:
    """The signed EnrolRequest."""
    request = enrol_pb2.EnrolRequest(
        workspace_id=token.workspace_id,
        pairing_id=token.pairing_id,
        identity_key=identity.public,
        nonce=nonce,
        image_digest=image_digest,
        suites=SUITES,
    )
    return sign(request, identity, token.pairing_key())


def still_asks(request: bytes, token: SpinToken, identity: SigningKey, image_digest: bytes) -> bool:
    """Whether a request from an earlier boot says what a new one would."""
    if not request:
        return False
    nonce = unverified(request, enrol_pb2.EnrolRequest).nonce
    return request == enrol_request(token, identity, nonce, image_digest)


def enrolled(token: SpinToken, identity: SigningKey, request: bytes, grant: bytes, documents: Sequence[bytes], now_ms: int) -> Trust:
    """What the runtime trusts from now on. Raises Refused, and Denial for a grant that answers something else."""
    if not documents:
        raise Refused("no root document")
    root = walk(documents[0], token.root_digest, documents[1:], now_ms)
    message = root.verify(grant, enrol_pb2.EnrolGrant, now_ms).message
    if not request or message.request_digest != signed_digest(request) or message.nonce != unverified(request, enrol_pb2.EnrolRequest).nonce:
        raise _refused("the grant answers another request")
    if message.identity_key != identity.public or message.workspace_id != token.workspace_id or len(message.runtime_id) != 16:
        raise _refused("the grant is for another runtime or workspace")
    if message.suite not in SUITES:
        raise _refused(f"the grant pins suite {message.suite}")
    return Trust(message, root, tuple(documents), trust_pb2.TrustState())


def remembered(token: SpinToken, state: State, folder: Path) -> Trust | None:
    """What an earlier boot came to trust; None when the runtime is not paired. Raises DiskError."""
    if not state.enrol_grant:
        return None
    try:
        root = walk(state.root_documents[0], token.root_digest, state.root_documents[1:], 0)
        grant = unverified(state.enrol_grant, enrol_pb2.EnrolGrant)
        trust_state = unverified(state.trust_state, trust_pb2.TrustState) if state.trust_state else trust_pb2.TrustState()
    except (Refused, IndexError):
        raise unreadable(folder / "state") from None
    return Trust(grant, root, state.root_documents, trust_state, state.trust_state, Log(state.log_note, state.log_size, state.log_root))


def _refused(why: str) -> Denial:
    return Denial(reasons_pb2.ERROR_REASON_PAIRING_INVALID, "The grant does not answer this runtime's request: start the pairing again.", why)


def paired_already(trust: Trust) -> Denial:
    text = "What runs at this address is paired already. For a new identity, stop it, put var/broker in its SPIN_HOME aside, and try again."
    return Denial(reasons_pb2.ERROR_REASON_ALREADY_EXISTS, text, resource="runtime", name=trust.grant.runtime_id.hex())
