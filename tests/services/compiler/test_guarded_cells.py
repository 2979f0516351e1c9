"""Cells that use guarded operations: the grant must carry an approval, and what is asked for is what would run."""

import json

import pytest

from spin_envelope.signing import sign
from spinapis.compiler.v1 import compiler_pb2
from spinapis.envelope.v1.run_pb2 import Approval
from spinapis.envelope.v1.trust_pb2 import Role
from tests.fakes.installation import refused
from tests.services.compiler.conftest import NOTEBOOK, SESSION, WORKSPACE

FIELDS = json.dumps({"connection": "tickets", "url": "/purge", "method": "DELETE"})


@pytest.fixture(autouse=True)
def guarded(bench) -> None:
    bench.connections.connections["tickets"].approval_operations.append("rest.request")


def request(**changes) -> compiler_pb2.RequestApprovalRequest:
    cell = compiler_pb2.CellDefinition(cell_type="rest", source="", fields_json=FIELDS)
    values = {"workspace_id": WORKSPACE, "notebook_id": NOTEBOOK, "session_id": SESSION, "cell_id": "c1", "cell": cell, "note": "why"}
    return compiler_pb2.RequestApprovalRequest(**(values | changes))


async def test_an_approved_run_is_logged_with_its_approval(bench) -> None:
    approval_id = b"a" * 16
    bench.grants.approvals = [sign(Approval(approval_id=approval_id), bench.installation.keys.role_key(Role.ROLE_AUTH))]
    await bench.compile("", "rest", FIELDS, bundle_version=7)
    (entry,) = bench.log.entries[WORKSPACE]
    assert json.loads(entry.body_json)["approvals"] == [approval_id.hex()]


async def test_a_grant_without_the_approval_is_not_used(bench) -> None:
    with refused() as refusal:
        await bench.compile("", "rest", FIELDS, bundle_version=7)
    assert (refusal.reason, refusal.metadata["field"]) == ("GRANT_MISMATCH", "approvals")
    assert WORKSPACE not in bench.log.entries


async def test_expressions_beside_an_approved_cell_are_nobodys_approval(bench) -> None:
    with refused() as refusal:
        await bench.compile("", "rest", FIELDS, bundle_version=7, user_expressions={"x": "steal()"})
    assert refusal.reason == "CELL_INVALID"
    assert bench.grants.seq == 0


async def test_what_is_asked_for_is_what_the_run_is_granted(bench) -> None:
    answer = await bench.stub.RequestApproval(request(), metadata=bench.installation.as_user("editor"))
    assert answer.approval.note == "why"
    (asked,) = bench.approvals.asked
    (use,) = [use for use in asked.uses if use.connection_id]
    assert (use.connection_id.hex(), list(use.operations), len(use.params_digest)) == ("12" * 16, ["rest.request"], 32)
    assert (asked.cell_type, asked.fields_json) == ("rest", FIELDS)


async def test_an_approval_is_not_used_up_while_the_runtime_has_old_credentials(bench) -> None:
    """The runtime would refuse the program: so no grant is asked for until the client brought the bundle that the cell needs."""
    bench.grants.approvals = [sign(Approval(approval_id=b"a" * 16), bench.installation.keys.role_key(Role.ROLE_AUTH))]
    for held in (0, 6):
        with refused() as refusal:
            await bench.compile("", "rest", FIELDS, bundle_version=held)
        assert (refusal.reason, bench.grants.seq) == ("BUNDLE_STALE", 0)
    assert (await bench.compile("", "rest", FIELDS, bundle_version=7)).min_bundle_version == 7


async def test_a_cell_that_needs_none_asks_for_none(bench) -> None:
    cell = compiler_pb2.CellDefinition(cell_type="python", source="1")
    with refused() as refusal:
        await bench.stub.RequestApproval(request(cell=cell), metadata=bench.installation.as_user("editor"))
    assert refusal.reason == "CELL_INVALID" and not bench.approvals.asked


async def test_a_viewer_asks_for_nothing(bench) -> None:
    with refused() as refusal:
        await bench.stub.RequestApproval(request(), metadata=bench.installation.as_user("viewer"))
    assert refusal.reason == "PERMISSION_DENIED"
