"""Enrolled runtimes: what auth tells of them, and what they sign themselves."""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from spin_envelope.chain import OutputChain
from spin_envelope.digests import signed_digest
from spin_envelope.hpke_keys import RecipientKey, Suite
from spin_envelope.keys import SigningKey
from spin_envelope.signing import sign
from spin_services.keys import KeyStore
from spin_services.rpc.errors import abort, not_found
from spinapis.auth.v1 import trust_pb2, trust_pb2_grpc
from spinapis.envelope.v1.attach_pb2 import Challenge, Hello
from spinapis.envelope.v1.enrol_pb2 import EnrolGrant, RuntimeConfirmation
from spinapis.envelope.v1.receipt_pb2 import Receipt, ReceiptType, RunStatus
from spinapis.envelope.v1.run_pb2 import RunNonce
from spinapis.envelope.v1.trust_pb2 import Role, RuntimeStatus


class FakeRuntime:
    """A runtime's identity, its chain of receipts and its boot key. Keeps every receipt that it signed."""

    def __init__(self, keys: KeyStore, workspace_id: str) -> None:
        self.keys = keys
        self.workspace_id = workspace_id
        self.runtime_id = os.urandom(16).hex()
        self.identity = SigningKey.generate()
        self.boot_id = os.urandom(16)
        self.boot_key = RecipientKey.generate(Suite(2))
        self.receipts: list[bytes] = []
        self.prev_digest = bytes(32)
        self.status = RuntimeStatus.RUNTIME_STATUS_CONFIRMED
        self.enrol_grant, self.confirmation = self._enrol()

    def _enrol(self) -> tuple[bytes, bytes]:
        auth = self.keys.role_key(Role.ROLE_AUTH)
        ids = {"workspace_id": bytes.fromhex(self.workspace_id), "runtime_id": bytes.fromhex(self.runtime_id)}
        grant = sign(EnrolGrant(**ids, identity_key=self.identity.public, suite=2, issued_at_ms=1), auth)
        confirmation = RuntimeConfirmation(**ids, identity_key=self.identity.public, grant_digest=signed_digest(grant), confirmed_by="owner")
        return grant, sign(confirmation, auth)

    def receipt(self, kind: ReceiptType.ValueType, run: "FakeRun | None" = None, **fields: Any) -> bytes:
        """Signs the next receipt of the chain."""
        if run is not None:
            fields = {"program_digest": run.program_digest, "nonce": run.nonce, "session_id": run.session_id} | fields
        receipt = Receipt(
            workspace_id=bytes.fromhex(self.workspace_id),
            runtime_id=bytes.fromhex(self.runtime_id),
            receipt_seq=len(self.receipts) + 1,
            prev_digest=self.prev_digest,
            boot_id=self.boot_id,
            type=kind,
            **({"time_ms": time.time_ns() // 1_000_000} | fields),
        )
        signed = sign(receipt, self.identity)
        self.prev_digest = signed_digest(signed)
        self.receipts.append(signed)
        return signed

    def boot(self) -> bytes:
        self.boot_id = os.urandom(16)
        return self.receipt(ReceiptType.RECEIPT_TYPE_BOOT)

    def start(self, run: "FakeRun") -> bytes:
        return self.receipt(ReceiptType.RECEIPT_TYPE_START, run)

    def end(self, run: "FakeRun", status: RunStatus.ValueType = RunStatus.RUN_STATUS_OK, **fields: Any) -> bytes:
        chain = OutputChain()
        chain.extend((1, body) for body in run.outputs)
        return self.receipt(ReceiptType.RECEIPT_TYPE_END, run, status=status, frames=chain.frames, output_digest=chain.digest, **fields)

    def hello(self, challenge: bytes, asked: Challenge, **fields: Any) -> bytes:
        values: dict[str, Any] = {
            "workspace_id": bytes.fromhex(self.workspace_id),
            "runtime_id": bytes.fromhex(self.runtime_id),
            "boot_id": self.boot_id,
            "boot_hpke_key": self.boot_key.public,
            "challenge_digest": signed_digest(challenge),
            "session_id": asked.session_id,
        }
        return sign(Hello(**(values | fields)), self.identity)


class FakeRun:
    """One run of a program that says what it is told to say."""

    def __init__(self, runtime: FakeRuntime, seq: int, outputs: Sequence[bytes] = (), epoch: int = 1, session_id: bytes = b"\x5e" * 16) -> None:
        self.runtime = runtime
        self.nonce = RunNonce(boot_id=runtime.boot_id, kernel_epoch=epoch, seq=seq)
        self.program_digest = os.urandom(32)
        self.session_id = session_id
        self.outputs = list(outputs)

    @property
    def id(self) -> str:
        return f"{self.nonce.boot_id.hex()}.{self.nonce.kernel_epoch}.{self.nonce.seq}"


class FakeEnrolment(trust_pb2_grpc.EnrolmentServiceServicer):
    """auth's word on runtimes of one workspace."""

    def __init__(self, keys: KeyStore, workspace_id: str) -> None:
        self.keys = keys
        self.workspace_id = workspace_id
        self.runtimes: dict[str, FakeRuntime] = {}
        # What happens while auth is asked.
        self.meanwhile: Callable[[], None] = lambda: None

    def add(self) -> FakeRuntime:
        runtime = FakeRuntime(self.keys, self.workspace_id)
        self.runtimes[runtime.runtime_id] = runtime
        return runtime

    async def GetRuntimeTrust(self, request: Any, context: Any) -> Any:
        self.meanwhile()
        runtime = self.runtimes.get(request.runtime_id)
        if runtime is None:
            await abort(context, not_found("runtime", request.runtime_id))
        return trust_pb2.GetRuntimeTrustResponse(status=runtime.status, enrol_grant=runtime.enrol_grant, confirmation=runtime.confirmation)
