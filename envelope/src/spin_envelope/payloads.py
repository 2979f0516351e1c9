"""The fixed table of who signs what. docs/protocol.md, section 2.

A payload type belongs to exactly the signers listed, all of whom must have signed; everything else is refused.
"""

from dataclasses import dataclass
from enum import Enum

from google.protobuf.message import Message

from spin_envelope.errors import Refused
from spinapis.envelope.v1.attach_pb2 import CapabilityToken, Challenge, ClientAuth, Hello
from spinapis.envelope.v1.enrol_pb2 import EnrolGrant, EnrolRequest, PairRegistration, RuntimeConfirmation
from spinapis.envelope.v1.receipt_pb2 import Receipt, ReceiptAck
from spinapis.envelope.v1.run_pb2 import Approval, CredentialBundle, Program, RunGrant
from spinapis.envelope.v1.trust_pb2 import RootDocument, TrustState


class Signer(Enum):
    """Whose key signs. The first five are roles of the RootDocument."""

    ROOT = "root"
    AUTH = "auth"
    COMPILER = "compiler"
    SECRETS = "secrets"
    AUDIT = "audit"
    RUNTIME_IDENTITY = "runtime identity"
    PAIRING_KEY = "pairing key"
    CLIENT_SESSION = "client session key"


@dataclass(frozen=True)
class PayloadSpec:
    payload_type: str
    signers: tuple[Signer, ...]


def _spec(name: str, *signers: Signer) -> PayloadSpec:
    return PayloadSpec(f"application/vnd.spin.{name}.v1+protobuf", signers)


SPECS: dict[type[Message], PayloadSpec] = {
    RootDocument: _spec("root-document", Signer.ROOT),
    Challenge: _spec("challenge", Signer.AUTH),
    CapabilityToken: _spec("capability-token", Signer.AUTH),
    EnrolGrant: _spec("enrol-grant", Signer.AUTH),
    RuntimeConfirmation: _spec("runtime-confirmation", Signer.AUTH),
    RunGrant: _spec("run-grant", Signer.AUTH),
    Approval: _spec("approval", Signer.AUTH),
    TrustState: _spec("trust-state", Signer.AUTH),
    Program: _spec("program", Signer.COMPILER),
    CredentialBundle: _spec("credential-bundle", Signer.SECRETS),
    ReceiptAck: _spec("receipt-ack", Signer.AUDIT),
    Hello: _spec("hello", Signer.RUNTIME_IDENTITY),
    Receipt: _spec("receipt", Signer.RUNTIME_IDENTITY),
    EnrolRequest: _spec("enrol-request", Signer.RUNTIME_IDENTITY, Signer.PAIRING_KEY),
    PairRegistration: _spec("pair-registration", Signer.PAIRING_KEY),
    ClientAuth: _spec("client-auth", Signer.CLIENT_SESSION),
}


def spec_of(cls: type[Message]) -> PayloadSpec:
    """The table's row of a message class. Raises Refused for a message that nobody signs."""
    spec = SPECS.get(cls)
    if spec is None:
        raise Refused(f"{cls.DESCRIPTOR.name} is no payload")
    return spec


def payload_type(cls: type[Message]) -> str:
    return spec_of(cls).payload_type
