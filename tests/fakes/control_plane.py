"""A control plane in memory, for tests of the runtime: real keys, real signatures, real sealing; no services behind it.

Every document is made with what an honest control plane would say; a test changes what an attacker would.
"""

import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from spin_envelope.digests import params_digest, signed_digest
from spin_envelope.keys import SigningKey
from spin_envelope.note import Checkpoint, origin_of, sign_note
from spin_envelope.pairing import SpinToken
from spin_envelope.payloads import payload_type
from spin_envelope.root import build_root_document
from spin_envelope.sealing import seal
from spin_envelope.signing import sign, unverified
from spinapis.envelope.v1 import attach_pb2, enrol_pb2, receipt_pb2, run_pb2, trust_pb2

ORIGIN = "https://spin.example.org"
HOST = "runtime.example.org:8888"
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
ROLES = (
    trust_pb2.ROLE_ROOT,
    trust_pb2.ROLE_AUTH,
    trust_pb2.ROLE_COMPILER,
    trust_pb2.ROLE_SECRETS,
    trust_pb2.ROLE_AUDIT,
    trust_pb2.ROLE_WORKSPACE,
)


@dataclass
class Clock:
    """Milliseconds that a test moves; `elapsed` is what passed beside that, whatever the clock says."""

    now_ms: int = 1_700_000_000_000
    passed_ms: int = 0

    def __call__(self) -> int:
        return self.now_ms

    def elapsed(self) -> int:
        return self.passed_ms

    def pass_ms(self, milliseconds: int) -> None:
        """Time passes, and the clock goes with it."""
        self.now_ms += milliseconds
        self.passed_ms += milliseconds


@dataclass
class Client:
    """A person's browser with its session key."""

    user_id: str = "user-a"
    session_id: bytes = field(default_factory=lambda: os.urandom(16))
    notebook_id: bytes = field(default_factory=lambda: os.urandom(16))
    key: SigningKey = field(default_factory=SigningKey.generate)
    nonce: bytes = field(default_factory=lambda: os.urandom(32))


@dataclass
class ControlPlane:
    clock: Clock = field(default_factory=Clock)
    workspace_id: bytes = field(default_factory=lambda: os.urandom(16))
    runtime_id: bytes = field(default_factory=lambda: os.urandom(16))
    suite: int = 2
    keys: dict[int, SigningKey] = field(default_factory=lambda: {role: SigningKey.generate() for role in ROLES})
    trust_version: int = 0
    seqs: dict[tuple[bytes, int], int] = field(default_factory=dict)
    root_documents: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.root_documents.append(sign(self.root_document(1), self.keys[trust_pb2.ROLE_ROOT]))
        digest = signed_digest(self.root_documents[0])
        self.token = SpinToken.mint(self.workspace_id, os.urandom(16), secrets.token_bytes(32), digest)

    # Root documents

    def root_document(self, version: int, **changes: SigningKey) -> trust_pb2.RootDocument:
        """`changes` gives roles new keys, by their names in lower case."""
        keys = {role: changes.get(trust_pb2.Role.Name(role).removeprefix("ROLE_").lower(), self.keys[role]).public for role in ROLES}
        return build_root_document(version, self.clock() + 365 * 24 * HOUR_MS, {role: [public] for role, public in keys.items()})

    def rotate(self, **changes: SigningKey) -> bytes:
        """The next root document, signed by the old and the new root key; the keys change with it."""
        document = self.root_document(len(self.root_documents) + 1, **changes)
        old, new = self.keys[trust_pb2.ROLE_ROOT], changes.get("root", self.keys[trust_pb2.ROLE_ROOT])
        signed = sign(document, *({old.key_id: old, new.key_id: new}.values()))
        for name, key in changes.items():
            self.keys[trust_pb2.Role.Value(f"ROLE_{name.upper()}")] = key
        self.root_documents.append(signed)
        return signed

    # Pairing and trust

    def enrol(self, enrol_request: bytes, **changes: Any) -> bytes:
        request = unverified(enrol_request, enrol_pb2.EnrolRequest)
        grant = enrol_pb2.EnrolGrant(
            workspace_id=self.workspace_id,
            runtime_id=self.runtime_id,
            identity_key=request.identity_key,
            nonce=request.nonce,
            request_digest=signed_digest(enrol_request),
            allowed_origins=[ORIGIN],
            allowed_hosts=[HOST],
            suite=self.suite,
            issued_at_ms=self.clock(),
        )
        return sign(changed(grant, changes), self.keys[trust_pb2.ROLE_AUTH])

    def trust_state(self, **changes: Any) -> bytes:
        self.trust_version += 1
        state = trust_pb2.TrustState(
            workspace_id=self.workspace_id,
            runtime_id=self.runtime_id,
            version=self.trust_version,
            issued_at_ms=self.clock(),
            expires_at_ms=self.clock() + 24 * HOUR_MS,
            root_version=len(self.root_documents),
            runtime_status=trust_pb2.RUNTIME_STATUS_CONFIRMED,
            min_suite=self.suite,
        )
        return sign(changed(state, changes), self.keys[trust_pb2.ROLE_AUTH])

    def checkpoint(self, size: int, root_hash: bytes = bytes(32)) -> bytes:
        return sign_note(Checkpoint(origin_of(self.workspace_id), size, root_hash), self.keys[trust_pb2.ROLE_AUDIT]).encode()

    # Attach

    def capability(self, client: Client, **changes: Any) -> bytes:
        token = attach_pb2.CapabilityToken(
            id=os.urandom(16),
            workspace_id=self.workspace_id,
            user_id=client.user_id,
            session_id=client.session_id,
            notebook_id=client.notebook_id,
            runtime_id=self.runtime_id,
            origin=ORIGIN,
            cnf=sha256(client.key.public).digest(),
            scopes=[attach_pb2.SCOPE_VIEW, attach_pb2.SCOPE_RUN],
            issued_at_ms=self.clock(),
            expires_at_ms=self.clock() + 5 * MINUTE_MS,
            egress=attach_pb2.EgressPolicy(mode=attach_pb2.EGRESS_MODE_OPEN),
        )
        return sign(changed(token, changes), self.keys[trust_pb2.ROLE_AUTH])

    def challenge(self, client: Client, **changes: Any) -> bytes:
        challenge = attach_pb2.Challenge(
            nonce=os.urandom(32),
            issued_at_ms=self.clock(),
            workspace_id=self.workspace_id,
            runtime_id=self.runtime_id,
            session_id=client.session_id,
            user_id=client.user_id,
        )
        return sign(changed(challenge, changes), self.keys[trust_pb2.ROLE_AUTH])

    # Runs

    def run_grant(self, client: Client, hello: attach_pb2.Hello, kernel_epoch: int, **changes: Any) -> run_pb2.RunGrant:
        seqs = (hello.boot_id, kernel_epoch)
        self.seqs[seqs] = self.seqs.get(seqs, 0) + 1
        grant = run_pb2.RunGrant(
            workspace_id=self.workspace_id,
            user_id=client.user_id,
            session_id=client.session_id,
            notebook_id=client.notebook_id,
            cell_id="cell-1",
            runtime_id=self.runtime_id,
            nonce=run_pb2.RunNonce(boot_id=hello.boot_id, kernel_epoch=kernel_epoch, seq=self.seqs[seqs]),
            source_digest=sha256(b"the source").digest(),
            issued_at_ms=self.clock(),
            expires_at_ms=self.clock() + 5 * MINUTE_MS,
        )
        made: run_pb2.RunGrant = changed(grant, changes)
        if made.connections and "principals" not in changes:
            made.principals.add(user_id=made.user_id, actor_chain=made.actor_chain)
        return made

    def approval(self, grant: run_pb2.RunGrant, **changes: Any) -> bytes:
        """A second person's approval of just what the grant says."""
        approval = run_pb2.Approval(
            workspace_id=grant.workspace_id,
            approval_id=os.urandom(16),
            user_id=grant.user_id,
            actor_chain=grant.actor_chain,
            notebook_id=grant.notebook_id,
            cell_id=grant.cell_id,
            source_digest=grant.source_digest,
            uses=grant.connections,
            approver_id="somebody else",
            issued_at_ms=self.clock(),
            expires_at_ms=self.clock() + 15 * MINUTE_MS,
        )
        return sign(changed(approval, changes), self.keys[trust_pb2.ROLE_AUTH])

    def program(self, grant: run_pb2.RunGrant, code: str = "x = 1", signed_grant: bytes | None = None, **changes: Any) -> bytes:
        """A signed Program that repeats what the grant says."""
        program = run_pb2.Program(
            workspace_id=grant.workspace_id,
            user_id=grant.user_id,
            session_id=grant.session_id,
            notebook_id=grant.notebook_id,
            cell_id=grant.cell_id,
            runtime_id=grant.runtime_id,
            nonce=grant.nonce,
            grant=sign(grant, self.keys[trust_pb2.ROLE_AUTH]) if signed_grant is None else signed_grant,
            source_digest=grant.source_digest,
            code=code,
            not_before_ms=self.clock(),
            expires_at_ms=self.clock() + 5 * MINUTE_MS,
            cell_type="python",
            connections=grant.connections,
            store_history=True,
        )
        return sign(changed(program, changes), self.keys[trust_pb2.ROLE_COMPILER])

    def seal(self, signed: bytes, hello: attach_pb2.Hello, **changes: Any) -> bytes:
        options: dict[str, Any] = {
            "content_type": payload_type(run_pb2.Program),
            "workspace_id": hello.workspace_id,
            "runtime_id": hello.runtime_id,
            "boot_id": hello.boot_id,
            "recipient": hello.boot_hpke_key,
            "min_suite": 1,
        }
        return seal(signed, **(options | changes))

    # Credentials and receipts

    def bundle(self, version: int, entries: Iterable[run_pb2.CredentialEntry] = (), **changes: Any) -> bytes:
        bundle = run_pb2.CredentialBundle(
            workspace_id=self.workspace_id,
            runtime_id=self.runtime_id,
            bundle_version=version,
            issued_at_ms=self.clock(),
            expires_at_ms=self.clock() + 7 * 24 * HOUR_MS,
            entries=entries,
        )
        return sign(changed(bundle, changes), self.keys[trust_pb2.ROLE_SECRETS])

    def seal_bundle(self, signed: bytes, hello: attach_pb2.Hello) -> bytes:
        return self.seal(signed, hello, content_type=payload_type(run_pb2.CredentialBundle))

    def ack(self, receipt_seq: int, receipt: bytes, **changes: Any) -> bytes:
        ack = receipt_pb2.ReceiptAck(
            workspace_id=self.workspace_id,
            runtime_id=self.runtime_id,
            up_to_seq=receipt_seq,
            digest=signed_digest(receipt),
            issued_at_ms=self.clock(),
        )
        return sign(changed(ack, changes), self.keys[trust_pb2.ROLE_AUDIT])


def use(connection_id: bytes, *operations: str, params: Mapping[str, Any] | None = None) -> run_pb2.ConnectionUse:
    """What a grant says of a connection; without params they are free."""
    return run_pb2.ConnectionUse(connection_id=connection_id, operations=operations, params_digest=b"" if params is None else params_digest(params))


def changed(message: Any, changes: Mapping[str, Any]) -> Any:
    """The message with these fields replaced."""
    for name, value in changes.items():
        message.ClearField(name)
        message.MergeFrom(type(message)(**{name: value}))
    return message
