"""Cells that read secrets: what a program is granted, what the log says of it, and what an editor and a person are told of the others."""

import json

from spin_envelope.digests import params_digest
from tests.fakes.installation import refused
from tests.services.compiler.test_validate_cell import validate


async def test_a_program_is_granted_the_value_alone_and_the_log_names_what_it_may_expose(bench) -> None:
    salt, pepper = bench.connections.secret("salt", "1", exposable=True), bench.connections.secret("pepper", "2", exposable=True)
    program = bench.open(await bench.compile("x = {{secret:salt}}")).message
    assert [(use.connection_id.hex(), list(use.operations), use.params_digest) for use in program.connections] == [
        (salt, ["secret.read"], params_digest({}))
    ]
    assert program.min_bundle_version == 7
    bench.open(await bench.compile("x = {{secret_var:which}}"))
    await bench.compile("x = 1")
    logged = [json.loads(entry.body_json)["exposable"] for entry in bench.log.entries["ab" * 16]]
    assert logged == [[salt], sorted([salt, pepper]), []]


async def test_what_is_not_exposable_is_refused_in_its_place_with_the_way_that_works(bench) -> None:
    bench.connections.secret("salt", "1")
    with refused() as refusal:
        await bench.compile("a = 1\nx = {{secret:salt}}")
    assert refusal.reason == "CELL_INVALID"
    ((field, description),) = refusal.error.violations
    assert field == "cell.source:2:5"
    assert "not exposable" in description
    assert "connection" in description
    assert not bench.log.entries
    (problem,) = await validate(bench, "python", "a = 1\nx = {{secret:salt}}")
    assert (problem.line, problem.column, problem.end_column) == (2, 5, 20)


async def test_a_secret_that_nobody_knows_is_a_problem_and_no_failed_call(bench) -> None:
    (problem,) = await validate(bench, "rest", "", '{"url": "https://h/{{secret:nowhere}}"}')
    assert (problem.field, "no secret nowhere" in problem.message) == ("url", True)


async def test_a_guarded_secret_needs_an_approval(bench) -> None:
    bench.connections.secret("salt", "1", exposable=True, approval_operations=["secret.read"])
    with refused() as refusal:
        await bench.compile("x = {{secret:salt}}", bundle_version=7)
    assert (refusal.reason, refusal.metadata["field"]) == ("GRANT_MISMATCH", "approvals")
