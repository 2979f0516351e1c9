"""The browser's and the runtime's side of pairing and attaching, with real keys."""

import secrets
from dataclasses import dataclass, field

from spin_envelope.digests import signed_digest
from spin_envelope.keys import SigningKey
from spin_envelope.pairing import SpinToken
from spin_envelope.sealing import RecipientKey, Suite
from spin_envelope.signing import sign
from spinapis.envelope.v1.attach_pb2 import Hello
from spinapis.envelope.v1.enrol_pb2 import EnrolRequest, PairRegistration


@dataclass
class PairedRuntime:
    workspace_id: str
    user_id: str
    root_digest: bytes = bytes(32)
    runtime_id: str = field(default_factory=lambda: secrets.token_hex(16))
    pairing_id: str = field(default_factory=lambda: secrets.token_hex(16))
    identity: SigningKey = field(default_factory=SigningKey.generate)
    boot_id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def pairing_key(self) -> SigningKey:
        token = SpinToken.mint(bytes.fromhex(self.workspace_id), bytes.fromhex(self.pairing_id), self.secret, self.root_digest)
        return SpinToken.parse(token.text).pairing_key()

    def registration(self, **changes: object) -> bytes:
        """What the browser signs."""
        message = PairRegistration(
            workspace_id=bytes.fromhex(self.workspace_id),
            pairing_id=bytes.fromhex(self.pairing_id),
            user_id=self.user_id,
            nonce=secrets.token_bytes(16),
            runtime_id=bytes.fromhex(self.runtime_id),
            pairing_public_key=self.pairing_key().public,
        )
        for name, value in changes.items():
            setattr(message, name, value)
        return sign(message, self.pairing_key())

    def enrol_request(self, *signers: SigningKey, **changes: object) -> bytes:
        """What the runtime signs, with identity and pairing key unless told otherwise."""
        message = EnrolRequest(
            workspace_id=bytes.fromhex(self.workspace_id),
            pairing_id=bytes.fromhex(self.pairing_id),
            identity_key=self.identity.public,
            nonce=secrets.token_bytes(32),
            suites=[2, 1],
        )
        for name, value in changes.items():
            if name == "suites":
                message.suites[:] = value  # type: ignore[call-overload]
            else:
                setattr(message, name, value)
        return sign(message, *(signers or (self.identity, self.pairing_key())))

    def hello(
        self, challenge: bytes, session_id: str, /, *, signer: SigningKey | None = None, suite: Suite | None = None, **changes: object
    ) -> bytes:
        """The runtime's answer to a challenge."""
        message = Hello(
            workspace_id=bytes.fromhex(self.workspace_id),
            runtime_id=bytes.fromhex(self.runtime_id),
            boot_id=self.boot_id,
            boot_hpke_key=RecipientKey.generate(suite if suite is not None else Suite(2)).public,
            challenge_digest=signed_digest(challenge),
            nonce_b=secrets.token_bytes(32),
            nonce_r=secrets.token_bytes(32),
            session_id=bytes.fromhex(session_id),
        )
        for name, value in changes.items():
            setattr(message, name, value)
        return sign(message, signer or self.identity)
