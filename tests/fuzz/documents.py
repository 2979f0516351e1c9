"""Fixed keys and honest documents: a fuzzed payload is signed here, so that what stands behind the signature is reached as well."""

from functools import cache
from hashlib import sha256
from typing import Any

from google.protobuf.message import Message

from spin_envelope.digests import pae, signed_digest
from spin_envelope.keys import SigningKey
from spin_envelope.pairing import SpinToken
from spin_envelope.payloads import payload_type
from spin_envelope.root import TrustedRoot
from spin_runtime.broker.pairing import enrol_request, enrolled
from spin_runtime.broker.trust import Trust, with_state
from spinapis.envelope.v1 import attach_pb2
from spinapis.envelope.v1.signed_pb2 import Signature, SignedMessage
from spinapis.envelope.v1.trust_pb2 import ROLE_AUTH
from tests.fakes.control_plane import ROLES, Client, ControlPlane

BOOT_ID = bytes(range(16))


def key(name: str) -> SigningKey:
    return SigningKey.from_seed(sha256(name.encode()).digest())


IDENTITY = key("identity")


@cache
def plane() -> ControlPlane:
    made = ControlPlane(workspace_id=b"w" * 16, runtime_id=b"r" * 16, keys={role: key(f"role {role}") for role in ROLES})
    made.token = SpinToken.mint(made.workspace_id, b"p" * 16, b"t" * 32, signed_digest(made.root_documents[0]))
    return made


@cache
def client() -> Client:
    return Client(session_id=b"s" * 16, notebook_id=b"n" * 16, key=key("client"), nonce=b"n" * 32)


@cache
def root() -> TrustedRoot:
    return TrustedRoot.pinned(plane().root_documents[0], None)


@cache
def request() -> bytes:
    return enrol_request(plane().token, IDENTITY, b"n" * 32, b"")


@cache
def paired() -> Trust:
    """Enrolled, and trusted for 24 hours."""
    trust = enrolled(plane().token, IDENTITY, request(), plane().enrol(request()), plane().root_documents, plane().clock())
    return with_state(trust, plane().trust_state(), plane().clock())


def hello_fields() -> attach_pb2.Hello:
    return attach_pb2.Hello(workspace_id=b"w" * 16, runtime_id=b"r" * 16, boot_id=BOOT_ID, session_id=client().session_id)


def signed(payload: bytes, cls: type[Message], *keys: SigningKey) -> bytes:
    """Any bytes as the payload of a SignedMessage with good signatures."""
    kind = payload_type(cls)
    signatures = [Signature(sig=one.sign(pae(kind, payload)), key_id=one.key_id) for one in keys]
    return SignedMessage(payload=payload, payload_type=kind, signatures=signatures).SerializeToString()


def by_role(payload: bytes, cls: type[Message], role: int = ROLE_AUTH) -> bytes:
    return signed(payload, cls, plane().keys[role])


def payload_of(data: bytes) -> bytes:
    return SignedMessage.FromString(data).payload


def wire(message: Any) -> bytes:
    return bytes(message.SerializeToString(deterministic=True))
