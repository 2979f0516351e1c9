"""An attacker who holds one service's key, and what that key alone lets them make.

The key is read from a running installation's folder. Every message is well-formed, so that what stops it is the check that it is for.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from scripts.platform.settings import Settings
from spin_envelope.digests import key_id, pae
from spin_envelope.hpke_keys import MLKEM768_PUBLIC_BYTES, SUITES, encrypt
from spin_envelope.keys import SigningKey
from spin_envelope.payloads import payload_type
from spin_envelope.signing import sign, unverified
from spin_services.keys import FileKek, KeyStore
from spin_services.rpc.tokens import sign_jwt
from spinapis.auth.v1 import trust_pb2, trust_pb2_grpc
from spinapis.envelope.v1 import attach_pb2, run_pb2, signed_pb2
from spinapis.envelope.v1.trust_pb2 import Role
from tests.fakes.hand_client import HandClient

PROGRAM, BUNDLE = payload_type(run_pb2.Program), payload_type(run_pb2.CredentialBundle)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def key_store(settings: Settings) -> KeyStore:
    return KeyStore(settings.data / "keys", FileKek(settings.data / "kek"), now_ms)


def stolen(settings: Settings, role: str) -> SigningKey:
    """The one key that this attacker has."""
    return key_store(settings).role_key(Role.Value(f"ROLE_{role.upper()}"))


def service_token(key: SigningKey, service: str, callee: str) -> str:
    now = int(time.time())
    return sign_jwt({"iss": service, "aud": callee, "iat": now, "exp": now + 60}, key)


async def granted(
    settings: Settings,
    compiler: SigningKey,
    client: HandClient,
    source_digest: bytes = bytes(32),
    cell_id: str = "cell",
    connections: Sequence[run_pb2.ConnectionUse] = (),
) -> bytes:
    """A RunGrant for a live user, asked of auth itself as the compiler would: what a stolen compiler key can get."""
    request = trust_pb2.GrantRunRequest(
        workspace_id=client.session.workspace_id,
        session_id=client.session.id,
        notebook_id=client.session.notebook_id,
        cell_id=cell_id,
        runtime_id=client.session.runtime_id,
        hello=client.hello,
        challenge=client.challenge,
        kernel_epoch=client.epoch,
        source_digest=source_digest,
        connections=connections,
    )
    metadata = (
        ("x-spin-service", f"Bearer {service_token(compiler, 'compiler', 'auth')}"),
        ("authorization", f"Bearer {await client.platform.tokens.access_token()}"),
    )
    async with grpc.aio.insecure_channel(settings.service_address("auth")) as channel:
        answer = await trust_pb2_grpc.GrantServiceStub(channel).GrantRun(request, metadata=metadata, timeout=10)
    return bytes(answer.grant)


def program_for(grant: bytes, code: str, **change: Any) -> run_pb2.Program:
    """The Program that the grant is for, with this code; `change` departs from it."""
    said = unverified(grant, run_pb2.RunGrant)
    now = now_ms()
    fields: dict[str, Any] = {
        **{name: getattr(said, name) for name in ("workspace_id", "user_id", "session_id", "notebook_id", "cell_id", "runtime_id", "nonce")},
        "source_digest": said.source_digest,
        "grant": grant,
        "code": code,
        "cell_type": "python",
        "not_before_ms": now,
        "expires_at_ms": now + 200_000,
        "store_history": True,
    }
    return run_pb2.Program(**(fields | change))


@dataclass(frozen=True)
class Sealer:
    """Seals anything at all to a boot: unlike the envelope's own `seal`, it refuses nothing."""

    hello: attach_pb2.Hello

    @classmethod
    def to(cls, client: HandClient) -> "Sealer":
        return cls(unverified(client.hello, attach_pb2.Hello))

    def seal(self, signed: bytes, content_type: str = PROGRAM, *, recipient: signed_pb2.PublicKey | None = None, **header: Any) -> bytes:
        key = recipient or self.hello.boot_hpke_key
        fields: dict[str, Any] = {
            "version": 1,
            "suite": SUITES[key.algorithm],
            "content_type": content_type,
            "workspace_id": self.hello.workspace_id,
            "runtime_id": self.hello.runtime_id,
            "boot_id": self.hello.boot_id,
            "recipient_key_id": key_id(key.algorithm, key.public_key),
        }
        head = signed_pb2.SealedHeader(**(fields | header)).SerializeToString()
        return signed_pb2.Sealed(header=head, ciphertext=encrypt(signed, key, b"spin/hpke/v1\0" + head)).SerializeToString()

    @property
    def weak_half(self) -> signed_pb2.PublicKey:
        """The X25519 half of the boot key, offered as a key of suite 1."""
        public = self.hello.boot_hpke_key.public_key[MLKEM768_PUBLIC_BYTES:]
        return signed_pb2.PublicKey(algorithm=signed_pb2.KEY_ALGORITHM_HPKE_X25519, public_key=public)


def forged(message: Any, *keys: SigningKey) -> bytes:
    """Signed by whichever keys the attacker has, whoever ought to sign it."""
    return sign(message, *keys)


def relabelled(signed: bytes, kind: str, keys: Sequence[SigningKey]) -> bytes:
    """A payload under another payload type, signed anew."""
    payload = signed_pb2.SignedMessage.FromString(signed).payload
    signatures = [signed_pb2.Signature(sig=key.sign(pae(kind, payload)), key_id=key.key_id) for key in keys]
    return signed_pb2.SignedMessage(payload=payload, payload_type=kind, signatures=signatures).SerializeToString()
