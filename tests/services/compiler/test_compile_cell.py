"""CompileCell: what a runtime gets, what the log gets first, and what is refused."""

import json

import pytest

from spin_envelope.digests import signed_digest, source_digest
from spin_envelope.hpke_keys import RecipientKey, Suite
from spin_envelope.keys import SigningKey
from spin_envelope.signing import sign
from spinapis.envelope.v1.run_pb2 import Limits, Program, RunGrant
from spinapis.envelope.v1.trust_pb2 import RuntimeStatus
from spinapis.workspace.v1 import notebooks_pb2
from tests.fakes.installation import refused


async def test_the_runtime_gets_the_code_under_auths_grant_and_the_compilers_signature(bench) -> None:
    answer = await bench.compile("print('é')", limits=Limits(wall_ms=5000), stop_on_error=False)
    verified = bench.open(answer)
    program = verified.message
    grant = bench.installation.keys.root().verify(program.grant, RunGrant, bench.installation.clock()).message
    assert verified.digest == answer.program_digest
    assert (program.code, program.cell_type, program.limits.wall_ms) == ("print('é')", "python", 5000)
    assert (program.silent, program.store_history, program.allow_stdin, program.stop_on_error) == (False, True, False, False)
    assert program.source_digest == grant.source_digest == source_digest("python", "print('é')", "{}")
    assert program.nonce == grant.nonce == answer.nonce
    assert program.expires_at_ms - program.not_before_ms == 300_000


@pytest.mark.parametrize("length", [0, 1, 100, 101, 102, 103, 128, 129, 130, 131, 132, 250, 1000])
async def test_a_programs_length_says_little(bench, length: int) -> None:
    program = bench.open(await bench.compile("#" * length)).message
    assert program.ByteSize() % 256 == 0
    assert not program.padding.strip(b"\0")


async def test_the_log_has_the_digests_and_nothing_of_the_code(bench) -> None:
    answer = await bench.compile("visible_word = 1")
    (entry,) = bench.log.entries["ab" * 16]
    body = json.loads(entry.body_json)
    run = f"{bench.runtime.boot_id.hex()}.3.1"
    assert entry.type == "program.compiled"
    assert entry.idempotency_key == f"program:{answer.program_digest.hex()}"
    assert {f"session:{'cd' * 16}", f"notebook:{'ef' * 16}", "cell:c1", f"runtime:{bench.runtime.runtime_id}", f"run:{run}"} == set(entry.subjects)
    assert (body["workspace_id"], body["session_id"]) == ("ab" * 16, "cd" * 16)
    assert (body["run_id"], body["program_digest"], body["cell_type"]) == (run, answer.program_digest.hex(), "python")
    assert body["grant_digest"] == signed_digest(bench.open(answer).message.grant).hex()
    assert "visible_word" not in entry.body_json


async def test_nothing_leaves_before_the_log_has_it(bench) -> None:
    bench.log.broken = True
    with refused() as refusal:
        await bench.compile()
    assert refusal.reason == "UNAVAILABLE"


@pytest.mark.parametrize(
    "field", ["user_id", "session_id", "notebook_id", "cell_id", "runtime_id", "workspace_id", "hello_digest", "source_digest", "actor_chain"]
)
async def test_a_grant_for_something_else_is_refused(bench, field: str) -> None:
    def spoil(grant: RunGrant) -> None:
        if field == "actor_chain":
            grant.actor_chain.append("api_key:1")
        else:
            setattr(grant, field, "other" if isinstance(getattr(grant, field), str) else b"other")

    bench.grants.spoil = spoil
    with refused() as refusal:
        await bench.compile()
    assert (refusal.reason, refusal.error.metadata["field"]) == ("GRANT_MISMATCH", field)
    assert not bench.log.entries


async def test_a_grant_with_wider_connections_or_no_number_or_past_its_time_is_refused(bench) -> None:
    spoils = [
        lambda grant: grant.connections.add(operations=["runtime_env.get"]),
        lambda grant: setattr(grant.nonce, "seq", 0),
        lambda grant: setattr(grant.nonce, "kernel_epoch", 4),
        lambda grant: setattr(grant.nonce, "boot_id", b"x" * 16),
        lambda grant: setattr(grant, "expires_at_ms", 1),
        lambda grant: setattr(grant, "issued_at_ms", grant.issued_at_ms + 3_600_000),
    ]
    for bench.grants.spoil in spoils:
        with refused() as refusal:
            await bench.compile()
        assert refusal.reason == "GRANT_MISMATCH"


async def test_a_grant_that_auth_did_not_sign_is_refused(bench) -> None:
    bench.grants.key = SigningKey.generate()
    with refused() as refusal:
        await bench.compile()
    assert (refusal.reason, refusal.error.metadata["document"]) == ("SIGNATURE_INVALID", "RunGrant")


async def test_a_root_that_expires_while_the_grant_is_on_its_way_is_told_as_that(bench) -> None:
    clock = bench.installation.clock
    bench.grants.spoil = lambda grant: clock.advance((bench.installation.keys.newest().expires_at_ms - clock()) // 1000 + 1)
    with refused() as refusal:
        await bench.compile()
    assert refusal.reason == "ROOT_EXPIRED"


async def test_a_runtime_that_nobody_confirmed_gets_nothing(bench) -> None:
    bench.runtime.status = RuntimeStatus.RUNTIME_STATUS_PAIRED
    with refused() as refusal:
        await bench.compile()
    assert refusal.reason == "RUNTIME_NOT_CONFIRMED"


async def test_a_database_row_that_says_confirmed_convinces_nobody(bench) -> None:
    bench.runtime.confirmation = sign(RunGrant(), SigningKey.generate())
    with refused() as refusal:
        await bench.compile()
    assert (refusal.reason, refusal.error.metadata["document"]) == ("SIGNATURE_INVALID", "RuntimeConfirmation")


async def test_a_revocation_counts_within_seconds(bench) -> None:
    await bench.compile()
    bench.runtime.status = RuntimeStatus.RUNTIME_STATUS_REVOKED
    bench.installation.clock.advance(6)
    with refused() as refusal:
        await bench.compile()
    assert refusal.reason == "RUNTIME_REVOKED"


async def test_a_hello_of_an_impostor_of_another_session_or_of_yesterday_is_refused(bench) -> None:
    request = bench.request()
    impostor, bench.runtime.identity = bench.runtime.identity, SigningKey.generate()
    forged = bench.request()
    bench.runtime.identity = impostor
    other_user = bench.request(user="agent")
    for wrong, reason in ((forged, "SIGNATURE_INVALID"), (other_user, "HELLO_STALE")):
        with refused() as refusal:
            await bench.send(wrong)
        assert refusal.reason == reason
    bench.installation.clock.advance(25 * 3600)
    with refused() as refusal:
        await bench.send(request)
    assert refusal.reason == "HELLO_STALE"


async def test_a_boot_key_of_a_weaker_suite_is_refused(bench) -> None:
    bench.runtime.boot_key = RecipientKey.generate(Suite(1))
    with refused() as refusal:
        await bench.compile()
    assert refusal.reason == "SUITE_REFUSED"


async def test_a_cell_that_does_not_compile_says_where(bench) -> None:
    with refused() as refusal:
        await bench.compile("x = 1\ny = = 2")
    assert refusal.reason == "CELL_INVALID"
    assert refusal.error.violations[0][0] == "cell.source:2:5"
    assert refusal.error.text.startswith("Line 2: ")
    for cell_type, reason in (("markdown", "CELL_INVALID"), ("nothing", "CELL_TYPE_UNKNOWN")):
        with refused() as refusal:
            await bench.compile("x", cell_type)
        assert refusal.reason == reason
    assert not bench.log.entries


async def test_an_agent_runs_what_is_saved_and_nothing_else(bench) -> None:
    bench.notebooks.cells.append(notebooks_pb2.Cell(id="c1", cell_type="python", source="1 + 1", fields_json='{ "connections" : [] }'))
    saved = bench.request(fields='{"connections":[]}', user="agent")
    assert bench.open(await bench.send(saved, "agent")).message.code == "1 + 1"
    for wrong in (
        bench.request("2 + 2", fields='{"connections":[]}', user="agent"),
        bench.request(fields="{}", user="agent"),
        bench.request(fields='{"connections":[]}', user="agent", cell_id="c2"),
        bench.request(cell_type="code", fields='{"connections":[]}', user="agent"),
        bench.request(fields='{"connections":[]}', user="agent", user_expressions={"x": "__import__('os').system('id')"}),
    ):
        with refused() as refusal:
            await bench.send(wrong, "agent")
        assert refusal.reason == "SOURCE_NOT_SAVED"
    assert bench.open(await bench.compile("3 + 3")).message.code == "3 + 3"


async def test_a_viewer_compiles_nothing(bench) -> None:
    with refused() as refusal:
        await bench.compile(user="viewer")
    assert refusal.reason == "PERMISSION_DENIED"


async def test_connections_are_granted_by_operation_and_their_bundle_is_demanded(bench) -> None:
    fields = json.dumps({"connection": "tickets", "url": "/search", "query": {"q": "{{text}}"}})
    answer = await bench.compile("", "rest", fields)
    program: Program = bench.open(answer).message
    (use,) = program.connections
    assert (use.connection_id.hex(), list(use.operations), use.params_digest) == ("12" * 16, ["rest.request"], b"")
    assert program.min_bundle_version == answer.min_bundle_version == 7
    assert (await bench.compile("3 + 3")).min_bundle_version == 0
    with refused() as refusal:
        await bench.compile("", "rest", json.dumps({"connection": "someone elses", "url": "/"}))
    assert refusal.reason == "CONNECTION_UNUSABLE"


async def test_an_operation_that_the_connection_does_not_allow_is_refused(bench) -> None:
    bench.connections.connections["tickets"].allowed_operations[:] = ["rest.other"]
    with refused() as refusal:
        await bench.compile("", "rest", json.dumps({"connection": "tickets", "url": "/"}))
    assert refusal.reason == "CONNECTION_UNUSABLE"


@pytest.mark.parametrize("fields", ["[]", "{", '{"a": 1, "a": 2}', '{"a": NaN}', '{"a": 9007199254740993}'])
async def test_fields_without_a_canonical_form_are_refused(bench, fields: str) -> None:
    with refused() as refusal:
        await bench.compile("1", fields=fields)
    assert (refusal.reason, refusal.error.metadata["field"]) == ("INVALID_ARGUMENT", "cell.fields_json")


@pytest.mark.parametrize(("field", "value"), [("session_id", "CD" * 16), ("notebook_id", ""), ("cell_id", "a b"), ("cell_id", "")])
async def test_malformed_ids_are_refused(bench, field: str, value: str) -> None:
    request = bench.request()
    setattr(request, field, value)
    with refused() as refusal:
        await bench.send(request)
    assert (refusal.reason, refusal.error.metadata["field"]) == ("INVALID_ARGUMENT", field)
