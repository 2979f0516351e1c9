"""The broker's decisions about documents: their payloads are fuzzed, and signed by who would sign them."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from spin_cells.api import Credential
from spin_envelope.errors import Refused
from spin_envelope.hpke_keys import RecipientKey, Suite
from spin_envelope.parsing import parse
from spin_envelope.signing import sign
from spin_runtime.broker import admission, attachment, operations, pairing, records, trust
from spin_runtime.broker.api import BrokerError
from spin_runtime.broker.credentials import Credentials
from spin_runtime.broker.kernels import KernelLedger
from spin_runtime.broker.state import State
from spin_runtime.broker.taint import Principal
from spin_runtime.broker.tickets import Ticket
from spinapis.envelope.v1 import attach_pb2, enrol_pb2, receipt_pb2, run_pb2, trust_pb2
from spinapis.runtime.v1 import boundary_pb2, broker_pb2
from tests.fakes.control_plane import ORIGIN
from tests.fuzz.documents import BOOT_ID, IDENTITY, by_role, client, hello_fields, paired, payload_of, plane, request, signed, wire
from tests.fuzz.target import Target

REFUSALS = (Refused, BrokerError)
SCOPES = frozenset({attach_pb2.SCOPE_VIEW, attach_pb2.SCOPE_RUN})
CONNECTION = b"c" * 16


@cache
def attached() -> attachment.Known:
    whose = Principal(client().user_id)
    return attachment.Known(client().session_id, client().notebook_id, client().user_id, whose, SCOPES, plane().clock() + 300_000)


def pairing_finish(data: bytes) -> None:
    said = parse(data, boundary_pb2.FinishPairing)
    grant = by_role(said.enrol_grant, enrol_pb2.EnrolGrant)
    documents = list(said.root_documents) or plane().root_documents
    made = pairing.enrolled(plane().token, IDENTITY, request(), grant, documents, plane().clock())
    assert made.suite


def client_hello(data: bytes) -> None:
    said = parse(data, boundary_pb2.MakeHello)
    capability, challenge = by_role(said.capability, attach_pb2.CapabilityToken), by_role(said.challenge, attach_pb2.Challenge)
    known = trust.with_documents(paired(), list(said.root_documents))
    key = said.session_key or client().key.public
    hello = attachment.ClientHello(capability, challenge, said.nonce_b, key, said.origin)
    attachment.check_client_hello(hello, known, plane().clock())


def client_auth(data: bytes) -> None:
    auth = signed(data, attach_pb2.ClientAuth, client().key)
    attachment.check_client_auth(attachment.Pending(attached(), b"h" * 32, ORIGIN, client().key.public), auth, plane().clock())


def accept_trust(data: bytes) -> None:
    said = parse(data, boundary_pb2.AcceptTrust)
    known = replace(trust.with_documents(paired(), list(said.root_documents)), state=trust_pb2.TrustState())
    known = trust.with_state(known, by_role(said.trust_state, trust_pb2.TrustState), plane().clock())
    assert known.suite and known.log_shown >= 0
    proof = records.log_proof_of(said)
    if proof is not None:
        trust.with_log_proof(known, proof)
    trust.check_may_run(known, plane().clock())


def program(data: bytes) -> None:
    said = parse(data, run_pb2.Program)
    said.grant = by_role(said.grant, run_pb2.RunGrant)
    now_ms = plane().clock()
    facts = admission.Facts(paired(), BOOT_ID, now_ms, now_ms, bundle_version=3)
    ledger = KernelLedger()
    ledger.started(ledger.next_epoch(), client().session_id, "python3")
    authentic = admission.authentic_program(by_role(wire(said), run_pb2.Program, trust_pb2.ROLE_COMPILER), facts)
    admission.decide(authentic, attached(), facts, ledger)


def sealed(data: bytes) -> None:
    now_ms = plane().clock()
    admission.open_for(data, [], admission.Facts(paired(), BOOT_ID, now_ms, now_ms, 3))


def bundle(data: bytes) -> None:
    states: Any = SimpleNamespace(state=State(), change=lambda **_: None)
    disk: Any = SimpleNamespace(write=lambda *_: None, remove=lambda *_: None, path=Path("/nowhere"))
    Credentials(disk, states, list).accept(by_role(data, run_pb2.CredentialBundle, trust_pb2.ROLE_SECRETS), paired(), plane().clock())


def receipt_ack(data: bytes) -> None:
    paired().root.verify(by_role(data, receipt_pb2.ReceiptAck, trust_pb2.ROLE_AUDIT), receipt_pb2.ReceiptAck, plane().clock())


def use_request(data: bytes) -> None:
    """A kernel's request under a ticket that allows whatever it asks, so that the parameters are looked at."""
    said = parse(data, broker_pb2.UseRequest)
    use = run_pb2.ConnectionUse(connection_id=CONNECTION, operations=[said.operation])
    ticket = Ticket(run_pb2.RunNonce(kernel_epoch=1), [use])
    config = {"base_url": "https://api.example.org/v1"}
    credential = Credential(CONNECTION, "fuzzed", "rest", config, {"token": "t" * 20}, (), frozenset({said.operation}))
    held: Any = SimpleNamespace(usable=lambda *_: credential)
    operations.authorise(ticket, said, held, paired(), frozenset(), plane().clock())


def _program_seed() -> bytes:
    hello = hello_fields()
    grant = plane().run_grant(client(), hello, 1)
    grant.nonce.seq = 1
    made = run_pb2.Program.FromString(payload_of(plane().program(grant)))
    made.grant = wire(grant)
    return wire(made)


def _approved_seed() -> bytes:
    grant = plane().run_grant(client(), hello_fields(), 1)
    grant.connections.add(connection_id=CONNECTION, operations=["rest.request"])
    grant.approvals.append(plane().approval(grant))
    made = run_pb2.Program.FromString(payload_of(plane().program(grant)))
    made.grant = wire(grant)
    return wire(made)


def _hello_seed() -> bytes:
    capability, challenge = payload_of(plane().capability(client())), payload_of(plane().challenge(client()))
    return wire(boundary_pb2.MakeHello(capability=capability, challenge=challenge, nonce_b=b"n" * 32, origin=ORIGIN))


def _trust_seeds() -> list[bytes]:
    notes = b"", plane().checkpoint(3)
    states = [payload_of(plane().trust_state(checkpoint=note, min_bundle_version=size)) for size, note in enumerate(notes)]
    made = [boundary_pb2.AcceptTrust(trust_state=state) for state in states]
    made[1].log_proof.note = notes[1]
    return [wire(one) for one in [*made, boundary_pb2.AcceptTrust(trust_state=states[0], root_documents=plane().root_documents)]]


def _bundle_seeds() -> list[bytes]:
    secrets = (b'{"token": "t"}', b"[", b"[" * 2000, b"9" * 4400)
    entries = [run_pb2.CredentialEntry(connection_id=CONNECTION, name="a", kind="rest", secret_json=secret) for secret in secrets]
    return [payload_of(plane().bundle(1, [entry])) for entry in entries]


def _sealing_hello() -> attach_pb2.Hello:
    hello = hello_fields()
    hello.boot_hpke_key.CopyFrom(RecipientKey.generate(Suite(1)).public)
    return hello


def _use_seed() -> bytes:
    params = b'{"method":"GET","url":"https://api.example.org/v1/x"}'
    return wire(broker_pb2.UseRequest(ticket=b"t" * 32, connection_id=CONNECTION, operation="rest.request", params_json=params))


def _auth_seed() -> bytes:
    return wire(attach_pb2.ClientAuth(hello_digest=b"h" * 32, origin=ORIGIN))


def _ack_seed() -> bytes:
    return wire(receipt_pb2.ReceiptAck(workspace_id=plane().workspace_id, runtime_id=plane().runtime_id, up_to_seq=1))


def _pairing_seed() -> bytes:
    return wire(boundary_pb2.FinishPairing(enrol_grant=payload_of(plane().enrol(request())), root_documents=plane().root_documents))


TARGETS = (
    Target("broker.pairing_finish", pairing_finish, REFUSALS, lambda: [_pairing_seed()]),
    Target("broker.client_hello", client_hello, REFUSALS, lambda: [_hello_seed()]),
    Target("broker.client_auth", client_auth, REFUSALS, lambda: [_auth_seed()]),
    Target("broker.accept_trust", accept_trust, REFUSALS, _trust_seeds),
    Target("broker.program", program, REFUSALS, lambda: [_program_seed(), _approved_seed()]),
    Target("broker.sealed", sealed, REFUSALS, lambda: [plane().seal(sign(run_pb2.Program(), IDENTITY), _sealing_hello())]),
    Target("broker.bundle", bundle, REFUSALS, _bundle_seeds),
    Target("broker.receipt_ack", receipt_ack, REFUSALS, lambda: [_ack_seed()]),
    Target("broker.use_request", use_request, REFUSALS, lambda: [_use_seed()]),
)
