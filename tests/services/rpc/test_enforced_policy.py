"""The policy over real gRPC and between neighbours: roles, workspaces, services."""

from typing import Any

import pytest

from spinapis.auth.v1.members_pb2 import MEMBER_ROLE_AGENT, MEMBER_ROLE_UNSPECIFIED, MEMBER_ROLE_VIEWER
from spinapis.compiler.v1.compiler_pb2 import ValidateCellRequest
from tests.fakes.installation import Installation, refused

pytestmark = pytest.mark.parametrize("way", ["socket", "door"], indirect=True)
WORKSPACE, OTHER, USER = "a1" * 16, "c3" * 16, "b2" * 16


async def test_a_role_with_the_permission(served: Any, installation: Installation) -> None:
    await served.validate(installation.as_user(USER))
    caller = served.probe.callers[0]
    assert (caller.role, caller.workspace_id) == (MEMBER_ROLE_VIEWER, WORKSPACE)


async def test_a_role_without_the_permission(served: Any, installation: Installation) -> None:
    with refused() as refusal:
        await served.compile(installation.as_user(USER))
    assert refusal.reason == "PERMISSION_DENIED"
    assert refusal.error is not None and refusal.error.metadata["permission"] == "run"
    assert served.probe.callers == []


async def test_another_workspace_looks_as_if_it_did_not_exist(served: Any, installation: Installation) -> None:
    with refused() as refusal:
        await served.validate(installation.as_user(USER), OTHER)
    assert refusal.reason == "NOT_FOUND"


async def test_an_organisation_admin_is_told_which_workspaces_do_not_exist(served: Any, installation: Installation) -> None:
    admin = installation.as_user("ad" * 16, adm=True)
    with refused() as refusal:
        await served.validate(admin, OTHER)
    assert refusal.reason == "NOT_FOUND"
    served.access.roles["ad" * 16, OTHER] = MEMBER_ROLE_UNSPECIFIED
    with refused() as refusal:
        await served.validate(admin, OTHER)
    assert refusal.reason == "PERMISSION_DENIED"
    # Nothing of that is kept: a membership counts at once.
    served.access.roles["ad" * 16, OTHER] = MEMBER_ROLE_VIEWER
    await served.validate(admin, OTHER)


async def test_a_workspace_id_of_another_form(served: Any, installation: Installation) -> None:
    for value in ("", "x", WORKSPACE.upper(), f"{WORKSPACE}0", "../../" + "a" * 26):
        with refused() as refusal:
            await served.validate(installation.as_user(USER), value)
        assert refusal.reason == "INVALID_ARGUMENT"


async def test_a_machine_does_not_leave_its_workspace(served: Any, installation: Installation) -> None:
    served.access.roles[USER, OTHER] = MEMBER_ROLE_VIEWER
    machine = installation.as_user(USER, kind="api_key", wid=WORKSPACE, act=["api_key:1"])
    await served.validate(machine)
    assert served.probe.callers[0].actor_chain == ("api_key:1",)
    with refused() as refusal:
        await served.validate(machine, OTHER)
    assert refusal.reason == "NOT_FOUND"


async def test_a_role_is_believed_for_five_seconds_and_no_longer(served: Any, installation: Installation) -> None:
    metadata = installation.as_user(USER)
    for _ in range(3):
        await served.validate(metadata)
    assert served.access.asked == 1
    del served.access.roles[USER, WORKSPACE]
    installation.clock.advance(5.1)
    with refused() as refusal:
        await served.validate(metadata)
    assert refusal.reason == "NOT_FOUND"


async def test_a_new_role_counts_at_once(served: Any, installation: Installation) -> None:
    metadata = installation.as_user("d4" * 16)
    with refused():
        await served.validate(metadata)
    served.access.roles["d4" * 16, WORKSPACE] = MEMBER_ROLE_AGENT
    await served.compile(metadata)


async def test_a_method_for_services_refuses_people(served: Any, installation: Installation) -> None:
    with refused() as refusal:
        await served.append(installation.as_user(USER))
    assert refusal.reason == "SERVICE_ONLY"


async def test_a_method_for_services_refuses_other_services(served: Any, installation: Installation) -> None:
    await served.append(installation.as_service("secrets", "compiler"))
    with refused() as refusal:
        await served.append(installation.as_service("audit", "compiler"))
    assert refusal.reason == "SERVICE_ONLY"


async def test_a_service_does_not_act_without_its_user(served: Any, installation: Installation) -> None:
    with refused() as refusal:
        await served.validate(installation.as_service("secrets", "compiler"))
    assert refusal.reason == "UNAUTHENTICATED"


async def test_roles_fail_closed_when_auth_does_not_answer(served: Any, installation: Installation) -> None:
    await installation.stop_fakes()
    with refused() as refusal:
        await served.compiler.ValidateCell(ValidateCellRequest(workspace_id=WORKSPACE), metadata=installation.as_user(USER), timeout=3)
    assert refusal.reason == "UNAVAILABLE"
