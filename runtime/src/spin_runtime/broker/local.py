"""The broker in the server's own process.

- Every decision is made elsewhere, in pure code; here its parts are held together, and what was decided is done.
- What is decided and what is taken (a seq, a ticket) happen without waiting in between. Receipts are on disk before a method returns.
- An unpaired broker pairs and does nothing else.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path

from spin_cells.api import Credential
from spin_envelope.digests import signed_digest
from spin_envelope.errors import Refused
from spin_envelope.keys import SigningKey
from spin_envelope.pairing import SpinToken
from spin_envelope.signing import sign
from spin_runtime.broker import admission, attachment, pairing, receipt_forms
from spin_runtime.broker.api import Attachment, Broker, BundleStored, LiveKernel, LogProof, Rejected, Run, RunEnd, Status, TrustStored
from spin_runtime.broker.clients import Clients
from spin_runtime.broker.credentials import Credentials
from spin_runtime.broker.disk import EncryptedFolder, starting
from spin_runtime.broker.identity import Boot, fingerprint, load_identity
from spin_runtime.broker.journal import Journal
from spin_runtime.broker.kernels import KernelLedger
from spin_runtime.broker.known import KnownSecrets, texts_of_key
from spin_runtime.broker.managers.resolve import SecretManagers
from spin_runtime.broker.operations import Operations, Processors, Standing, installed_processor
from spin_runtime.broker.performing import failure
from spin_runtime.broker.receipts import Author, Receipts
from spin_runtime.broker.redaction import values_of
from spin_runtime.broker.refusals import Denial, log, reason_name, refusing
from spin_runtime.broker.runs import OpenRuns
from spin_runtime.broker.socket import UseSockets
from spin_runtime.broker.state import StateStore
from spin_runtime.broker.taint import check_answer
from spin_runtime.broker.tickets import Ticket, TicketBook
from spin_runtime.broker.trust import REVOKED, Trust, check_may_run, runs_until_ms, told, with_documents, with_log_proof, with_state
from spin_runtime.broker.trust_clock import Clocks, TrustClock, boot_clock_ms, wall_clock_ms
from spin_runtime.broker.trust_watch import TrustWatch
from spin_runtime.broker.upkeep import Upkeep
from spinapis.envelope.v1 import receipt_pb2, run_pb2, trust_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import broker_pb2


def open_broker(
    home: Path,
    token: str,
    *,
    clock: Callable[[], int] = wall_clock_ms,
    elapsed: Callable[[], int] = boot_clock_ms,
    environment: Mapping[str, str] | None = None,
    image_digest: bytes = b"",
    policy: admission.Policy | None = None,
    processors: Processors = installed_processor,
    managers: SecretManagers | None = None,
    known: KnownSecrets | None = None,
) -> Broker:
    """The broker of the runtime whose files stand below `home`; it writes the receipts of this boot.

    `environment` is what cells may read as {{runtime_env:NAME}}; `known` is told of every secret that the broker holds.
    Raises TokenInvalid and DiskError, with texts for the operator.
    """
    parsed = SpinToken.parse(token)
    with starting(home):
        folder = EncryptedFolder(home / "var" / "broker", parsed.disk_key())
        try:
            clocks = Clocks(clock, elapsed)
            known = known or KnownSecrets()
            made = folder, parsed, home / "var" / "run", clocks, image_digest, policy or admission.Policy(), managers or SecretManagers(), known
            broker = LocalBroker(*made)
            broker.serve_operations(environment or {}, processors)
            broker.remember()
        except BaseException:
            folder.close()
            raise
        return broker


class LocalBroker:
    """Satisfies `api.Broker`."""

    def __init__(
        self,
        folder: EncryptedFolder,
        token: SpinToken,
        sockets: Path,
        clocks: Clocks,
        image_digest: bytes,
        policy: admission.Policy,
        managers: SecretManagers,
        known: KnownSecrets,
    ) -> None:
        self._folder, self._token, self._image_digest, self._policy = folder, token, image_digest, policy
        self._clock, self._elapsed = clocks.wall, clocks.elapsed
        self._identity: SigningKey = load_identity(folder)
        self._states = StateStore(folder)
        self._managers = managers
        self._known = known
        known.hold("keys", [text for key in (token.secret, token.disk_key(), self._identity.seed) for text in texts_of_key(key)])
        self._credentials = Credentials(folder, self._states, self._hold)
        self._boot = Boot()
        self._clients, self._kernels, self._tickets = Clients(), KernelLedger(), TicketBook()
        self._runs = OpenRuns(self._tickets)
        self._sockets = UseSockets(sockets, self._use)
        self._trust: Trust | None = None
        self._trust_clock = TrustClock(clocks.wall, clocks.elapsed, self._states.state.trust_seen_ms)
        self._watch = TrustWatch(self._trust_clock, self._states, lambda: self._trust)
        self._receipts: Receipts | None = None
        expire = self._boot.expire, self._clients.expire, self._credentials.expire
        self._upkeep = Upkeep(clocks, self._watch, managers, self._runs, expire, self._write)

    def serve_operations(self, environment: Mapping[str, str], processors: Processors) -> None:
        self._operations = Operations(self._credentials, environment, self._clock, processors, self._testify, self._managers, self._known)

    def remember(self) -> None:
        """Takes up what an earlier boot left on disk. Raises DiskError."""
        self._trust = pairing.remembered(self._token, self._states.state, self._folder.path)
        if self._trust is not None:
            self._credentials.load(self._clock())
            self._credentials.forsake(self._trust)
            self._begin_receipts(self._trust)

    def _hold(self, credentials: Iterable[Credential]) -> None:
        """There are these credentials now, and no others."""
        held = list(credentials)
        self._managers.keep(held)
        self._known.hold("bundle", [value for credential in held for value in values_of(credential.secret)])

    async def status(self) -> Status:
        self._upkeep.begin()
        unpaired = Status(self._trust is not None, fingerprint(self._identity), self._token.workspace_id, b"", self._boot.boot_id, 0)
        return unpaired if self._trust is None else told(unpaired, self._trust, self._watch.phase)

    async def wait_trust(self, known: trust_pb2.TrustPhase.ValueType) -> Status:
        self._upkeep.begin()
        await self._watch.changed(known)
        return await self.status()

    # Pairing

    async def pairing_start(self) -> bytes:
        with refusing("pairing_refused"):
            self._check_unpaired()
            request = self._states.state.enrol_request
            if not pairing.still_asks(request, self._token, self._identity, self._image_digest):
                request = pairing.enrol_request(self._token, self._identity, os.urandom(32), self._image_digest)
                self._states.change(enrol_request=request)
            return request

    async def pairing_finish(self, enrol_grant: bytes, root_documents: Sequence[bytes]) -> Status:
        with refusing("pairing_refused"):
            self._check_unpaired()
            request = self._states.state.enrol_request
            trust = pairing.enrolled(self._token, self._identity, request, enrol_grant, root_documents, self._clock())
            self._states.change(enrol_grant=enrol_grant, root_documents=trust.documents, enrol_request=b"")
            self._trust = trust
            self._begin_receipts(trust)
        log.info("paired", workspace_id=trust.grant.workspace_id.hex(), runtime_id=trust.grant.runtime_id.hex())
        return await self.status()

    def _check_unpaired(self) -> None:
        if self._trust is not None:
            raise pairing.paired_already(self._trust)

    def _begin_receipts(self, trust: Trust) -> None:
        author = Author(self._identity, trust.grant.workspace_id, trust.grant.runtime_id, self._boot.boot_id, self._clock, lambda: self._watch.phase)
        self._receipts = Receipts(Journal(self._folder.path / "receipts", self._folder.cipher("receipts")), author)
        self._receipts.open()

    # Attach

    async def hello(
        self,
        capability: bytes,
        challenge: bytes,
        nonce_b: bytes,
        session_key: bytes,
        origin: str,
        root_documents: Sequence[bytes],
        trust_state: bytes,
    ) -> tuple[bytes, bytes]:
        with refusing("attach_refused"):
            trust = self._paired()
            try:
                trust = self._accept(root_documents, trust_state)
            except Denial as denial:
                if not attachment.only_older(denial):
                    raise
                log.info("older_trust_ignored", why=denial.why)
            said = attachment.ClientHello(capability, challenge, nonce_b, session_key, origin)
            checked = attachment.check_client_hello(said, trust, self._clock())
            hello = sign(attachment.hello(said, checked, trust, self._presence(trust)), self._identity)
        self._upkeep.begin()
        pending = attachment.Pending(checked.known, signed_digest(hello), origin, session_key)
        return hello, self._clients.expect(pending, self._clock())

    def _presence(self, trust: Trust) -> attachment.Presence:
        now_ms = self._clock()
        return attachment.Presence(
            self._boot.boot_id,
            self._boot.current(trust.suite, now_ms).public,
            os.urandom(32),
            now_ms,
            self._credentials.version(now_ms),
            self._chain().durable.seq,
        )

    async def attach(self, handle: bytes, client_auth: bytes) -> Attachment:
        with refusing("attach_refused"):
            return self._clients.attach(handle, client_auth, self._clock())

    async def detach(self, handle: bytes) -> None:
        self._clients.detach(handle)

    async def accept_trust(self, root_documents: Sequence[bytes], trust_state: bytes, log_proof: LogProof | None = None) -> TrustStored:
        with refusing("trust_refused"):
            trust = self._accept(root_documents, trust_state, log_proof)
        return TrustStored(
            root_version=trust.root.version,
            trust_version=trust.state.version,
            expires_at_ms=trust.state.expires_at_ms,
            log_size=trust.log.size,
            trust_phase=self._watch.phase,
            runs_until_ms=runs_until_ms(trust),
        )

    def _accept(self, documents: Sequence[bytes], state: bytes, proof: LogProof | None = None) -> Trust:
        """Takes newer documents, and stores them before anything is decided by them."""
        trust = with_documents(self._paired(), documents)
        if state:
            trust = with_state(trust, state, self._clock())
        if proof is not None:
            trust = with_log_proof(trust, proof)
        newer = trust.state_data != self._states.state.trust_state
        self._states.change(
            trust_seen_ms=self._clock() if newer else self._states.state.trust_seen_ms,
            root_documents=trust.documents,
            trust_state=trust.state_data,
            log_note=trust.log.note,
            log_size=trust.log.size,
            log_root=trust.log.root_hash,
        )
        self._trust = trust
        if newer:
            self._trust_clock.begin_anew()
        self._credentials.forsake(trust)
        self._watch.look()
        return trust

    # Kernels

    async def kernel_started(self, handle: bytes, kernel_name: str) -> LiveKernel:
        with refusing("kernel_refused"):
            chain = self._chain()
            session_id = self._clients.may_run(handle, self._clock()).session_id
            self._upkeep.begin()
            if self._watch.phase in (trust_pb2.TRUST_PHASE_EXPIRED, trust_pb2.TRUST_PHASE_REVOKED):
                check_may_run(self._paired(), self._trust_clock.now())
            epoch = self._kernels.next_epoch()
            try:
                await self._sockets.open(epoch)
                await chain.write(receipt_forms.kernel_event(self._boot.boot_id, epoch, session_id, f"{kernel_name} started"))
            except BaseException:
                await self._sockets.close(epoch)
                raise
            return self._kernels.started(epoch, session_id, kernel_name)

    async def kernel_ended(self, kernel_epoch: int, reason: str) -> None:
        session_id = self._kernels.session_of(kernel_epoch)
        if session_id is None:
            return
        name = self._kernels.ended(kernel_epoch)
        self._runs.bereave(self._elapsed(), kernel_epoch)
        await self._sockets.close(kernel_epoch)
        await self._chain().write(receipt_forms.kernel_event(self._boot.boot_id, kernel_epoch, session_id, f"{name} ended: {reason}"))

    # Runs

    async def open_sealed(self, sealed: bytes, handle: bytes) -> Run | Rejected | BundleStored:
        with refusing("sealed_refused"):
            trust, now_ms = self._paired(), self._clock()
            client = self._clients.may_run(handle, now_ms)
            bundle_version, trust_ms = self._credentials.version(now_ms), self._trust_clock.now()
            facts = admission.Facts(trust, self._boot.boot_id, now_ms, trust_ms, bundle_version, self._policy, self._boot.retired)
            opened = admission.open_for(sealed, self._boot.opening(now_ms), facts)
            if opened.content_type == admission.BUNDLE:
                if trust.identity_revoked:
                    raise Denial(reasons_pb2.ERROR_REASON_RUNTIME_REVOKED, REVOKED)
                return self._credentials.accept(opened.signed, trust, now_ms)
            try:
                program = admission.authentic_program(opened.signed, facts)
            except Refused:
                await self._chain().write(receipt_forms.unauthentic(opened.digest))
                raise
        decision = admission.decide(program, client, facts, self._kernels)
        if isinstance(decision, admission.Admitted):
            valid_ms = max(program.message.expires_at_ms - now_ms, 0)
            return self._runs.admit(decision, opened.digest, self._sockets.path(program.message.nonce.kernel_epoch), valid_ms, self._elapsed())
        return await self._reject(decision, opened.digest)

    async def _reject(self, refusal: admission.Refusal, ciphertext_digest: bytes) -> Rejected:
        program, denial = refusal.program.message, refusal.denial
        log.warning("program_rejected", reason=reason_name(denial.reason), why=denial.why, seq=program.nonce.seq)
        await self._chain().write(receipt_forms.rejected(refusal, ciphertext_digest))
        return Rejected(program.nonce, program.session_id, program.cell_id, program.user_id, ciphertext_digest, denial.reason, denial.text)

    async def run_started(self, nonce: run_pb2.RunNonce) -> None:
        run = self._runs.find(nonce)
        with refusing("start_refused"):
            # It may have waited in the queue for longer than trust lasted.
            self._trusted()
        run.started_ms = self._elapsed()
        await self._chain().write(run.start())
        # Its kernel may have ended meanwhile.
        run.ticket.valid = run.bereft_ms is None

    async def may_answer(self, handle: bytes, nonce: run_pb2.RunNonce) -> None:
        with refusing("answer_refused"):
            client, run = self._clients.may_run(handle, self._clock()), self._runs.find(nonce)
            check_answer((run.session_id, run.principal), (client.session_id, client.principal))

    async def run_progress(self, nonce: run_pb2.RunNonce, frames: int, output_digest: bytes) -> None:
        run = self._runs.find(nonce)
        run.frames, run.output_digest = frames, output_digest
        await self._chain().write(run.progress())

    async def _testify(self, ticket: Ticket) -> None:
        """Raises BrokerError when the disk refuses: then the run must not go on with what it asked for."""
        await self._chain().write(self._runs.find(ticket.nonce).progress())

    async def run_ended(self, end: RunEnd) -> None:
        run = self._runs.close(end.nonce, self._elapsed())
        await self._chain().write(run.end(end))

    # Receipts

    async def receipts_after(self, receipt_seq: int, limit: int) -> Sequence[tuple[int, bytes]]:
        with refusing("receipts_unreadable"):
            return [] if self._receipts is None else await self._receipts.after(receipt_seq, limit)

    async def wait_receipts(self, receipt_seq: int) -> None:
        await self._chain().wait_beyond(receipt_seq)

    async def acknowledge(self, receipt_ack: bytes) -> None:
        with refusing("acknowledgement_refused"):
            trust = self._paired()
            ack = trust.root.verify(receipt_ack, receipt_pb2.ReceiptAck, self._clock(), trust.revoked).message
            if (ack.workspace_id, ack.runtime_id) != (trust.grant.workspace_id, trust.grant.runtime_id):
                raise Refused("an acknowledgement for another runtime")
            await self._chain().acknowledge(ack.up_to_seq, ack.digest)

    async def close(self) -> None:
        await self._upkeep.end()
        await self._sockets.close_all()
        await self._managers.close()
        if self._receipts is not None:
            await self._receipts.close()
        self._folder.close()

    # Inside

    def _paired(self) -> Trust:
        if self._trust is None:
            raise Denial(reasons_pb2.ERROR_REASON_NOT_PAIRED, "This runtime belongs to no workspace yet: pair it.")
        return self._trust

    def _trusted(self) -> Trust:
        """Raises Denial when nothing may run now."""
        trust = self._paired()
        check_may_run(trust, self._trust_clock.now())
        return trust

    def _chain(self) -> Receipts:
        if self._receipts is None:
            raise Denial(reasons_pb2.ERROR_REASON_NOT_PAIRED, "This runtime belongs to no workspace yet: pair it.")
        return self._receipts

    async def _write(self, receipt: receipt_pb2.Receipt) -> None:
        await self._chain().write(receipt)

    async def _use(self, kernel_epoch: int, request: broker_pb2.UseRequest) -> AsyncIterator[broker_pb2.UseReply]:
        ticket = self._tickets.present(request.ticket, kernel_epoch)
        if ticket is None:
            log.warning("ticket_refused", kernel_epoch=kernel_epoch, operation=request.operation[:80])
            yield failure(reasons_pb2.ERROR_REASON_OPERATION_DENIED, "This run is over, or was never started: run the cell again.")
            return
        with ticket.using(asyncio.current_task()):
            async for reply in self._operations.perform(ticket, request, lambda: Standing(self._trusted(), self._kernels.principals(kernel_epoch))):
                yield reply
