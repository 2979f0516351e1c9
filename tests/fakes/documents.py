"""The signed documents of a small control plane: real keys, real signatures, made in memory."""

import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path

from spin_envelope.digests import signed_digest
from spin_envelope.keys import SigningKey
from spin_envelope.root import TrustedRoot, build_root_document
from spin_envelope.signing import countersigned, sign, unverified
from spinapis.envelope.v1 import attach_pb2, enrol_pb2, receipt_pb2, run_pb2, trust_pb2

DAY_MS = 86_400_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Signers:
    """One key per role, and the root document that binds them."""

    root: SigningKey = field(default_factory=SigningKey.generate)
    auth: SigningKey = field(default_factory=SigningKey.generate)
    compiler: SigningKey = field(default_factory=SigningKey.generate)
    secrets: SigningKey = field(default_factory=SigningKey.generate)
    audit: SigningKey = field(default_factory=SigningKey.generate)

    def __post_init__(self) -> None:
        self.documents = [sign(self._document(1), self.root)]

    def rotate(self, role: str) -> None:
        setattr(self, role, SigningKey.generate())
        self.documents.append(sign(self._document(len(self.documents) + 1), self.root))

    def sign_as_root(self, proposal: Path) -> None:
        """As `spin-service keys sign-as-root` does."""
        proposal.write_bytes(countersigned(proposal.read_bytes(), trust_pb2.RootDocument, self.root))

    def trusted(self) -> TrustedRoot:
        root = TrustedRoot.pinned(self.documents[0], None, 0)
        for document in self.documents[1:]:
            root = root.updated(document, 0)
        return root

    def _document(self, version: int) -> trust_pb2.RootDocument:
        roles = {
            trust_pb2.ROLE_ROOT: [self.root.public],
            trust_pb2.ROLE_AUTH: [self.auth.public],
            trust_pb2.ROLE_COMPILER: [self.compiler.public],
            trust_pb2.ROLE_SECRETS: [self.secrets.public],
            trust_pb2.ROLE_AUDIT: [self.audit.public],
        }
        return build_root_document(version, now_ms() + 365 * DAY_MS, roles, 1)

    def enrol_grant(self, enrol_request: bytes, runtime_id: bytes, hosts: list[str]) -> bytes:
        request = unverified(enrol_request, enrol_pb2.EnrolRequest)
        grant = enrol_pb2.EnrolGrant(
            workspace_id=request.workspace_id,
            runtime_id=runtime_id,
            identity_key=request.identity_key,
            nonce=request.nonce,
            request_digest=signed_digest(enrol_request),
            allowed_hosts=hosts,
            suite=2,
            issued_at_ms=now_ms(),
        )
        return sign(grant, self.auth)

    def confirmation(self, grant: bytes, user_id: str) -> bytes:
        enrolled = unverified(grant, enrol_pb2.EnrolGrant)
        confirmation = enrol_pb2.RuntimeConfirmation(
            workspace_id=enrolled.workspace_id,
            runtime_id=enrolled.runtime_id,
            identity_key=enrolled.identity_key,
            grant_digest=signed_digest(grant),
            confirmed_by=user_id,
            confirmed_at_ms=now_ms(),
        )
        return sign(confirmation, self.auth)

    def trust_state(self, workspace_id: bytes, runtime_id: bytes) -> bytes:
        state = trust_pb2.TrustState(
            workspace_id=workspace_id,
            runtime_id=runtime_id,
            version=1,
            issued_at_ms=now_ms(),
            expires_at_ms=now_ms() + DAY_MS,
            root_version=len(self.documents),
            runtime_status=trust_pb2.RUNTIME_STATUS_CONFIRMED,
            min_suite=2,
        )
        return sign(state, self.auth)

    def capability(self, workspace_id: bytes, session_id: bytes, runtime_id: bytes, cnf: bytes) -> bytes:
        token = attach_pb2.CapabilityToken(
            id=secrets.token_bytes(16),
            workspace_id=workspace_id,
            session_id=session_id,
            runtime_id=runtime_id,
            cnf=cnf,
            scopes=[attach_pb2.SCOPE_VIEW, attach_pb2.SCOPE_RUN],
            issued_at_ms=now_ms(),
            expires_at_ms=now_ms() + 300_000,
            egress=attach_pb2.EgressPolicy(mode=attach_pb2.EGRESS_MODE_OPEN),
        )
        return sign(token, self.auth)

    def challenge(self, workspace_id: bytes, session_id: bytes, runtime_id: bytes) -> bytes:
        challenge = attach_pb2.Challenge(
            nonce=secrets.token_bytes(32), issued_at_ms=now_ms(), workspace_id=workspace_id, runtime_id=runtime_id, session_id=session_id
        )
        return sign(challenge, self.auth)

    def program(self, program: run_pb2.Program) -> bytes:
        return sign(program, self.compiler)

    def receipt_ack(self, workspace_id: bytes, runtime_id: bytes, last: bytes) -> bytes:
        receipt = unverified(last, receipt_pb2.Receipt)
        ack = receipt_pb2.ReceiptAck(
            workspace_id=workspace_id, runtime_id=runtime_id, up_to_seq=receipt.receipt_seq, digest=signed_digest(last), issued_at_ms=now_ms()
        )
        return sign(ack, self.audit)
