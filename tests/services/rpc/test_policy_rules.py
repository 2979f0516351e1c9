"""The policy as data: complete, and saying what the roles are meant to say."""

import importlib
from pathlib import Path

import pytest
from google.protobuf.descriptor import ServiceDescriptor

import spinapis
from spin_services.rpc.identity import Caller
from spin_services.rpc.policy import ADMIN_PERMISSIONS, ROLE_PERMISSIONS, RULES, Public, needed_permissions, permissions_of
from spinapis.auth.v1.members_pb2 import MemberRole

OWNER, EDITOR, AGENT, VIEWER, AUDITOR = (MemberRole.Value(f"MEMBER_ROLE_{name}") for name in ("OWNER", "EDITOR", "AGENT", "VIEWER", "AUDITOR"))


def declared_services() -> list[ServiceDescriptor]:
    root = Path(next(iter(spinapis.__path__)))
    modules = [".".join(("spinapis", *file.relative_to(root).with_suffix("").parts)) for file in root.rglob("*_pb2.py")]
    return [service for module in modules for service in importlib.import_module(module).DESCRIPTOR.services_by_name.values()]


def test_every_rpc_of_every_service_has_a_rule_and_every_rule_an_rpc() -> None:
    ours = {method for method in RULES if method.startswith("/spinapis.")}
    assert len(ours) > 60
    assert ours == {f"/{service.full_name}/{method.name}" for service in declared_services() for method in service.methods}


def test_rules_ask_for_permissions_that_somebody_has() -> None:
    granted = frozenset().union(*ROLE_PERMISSIONS.values())
    asked = {permission for rule in RULES.values() for permission in needed_permissions(rule)}
    assert asked <= granted
    assert set(ROLE_PERMISSIONS) == set(MemberRole.values()) - {0}


def test_only_these_methods_need_no_token() -> None:
    public = {method.split("/")[-1] for method, rule in RULES.items() if isinstance(rule, Public) and method.startswith("/spinapis.")}
    assert public == {
        "ListSignInMethods",
        "RedeemSignInLink",
        "SignInWithPassword",
        "StartOidcSignIn",
        "FinishOidcSignIn",
        "RefreshTokens",
        "SignOut",
        "GetJwks",
        "ExchangeApiKey",
        "ListRootDocuments",
    }


def test_a_method_in_a_workspace_has_a_workspace_in_its_request() -> None:
    requests = {f"/{service.full_name}/{method.name}": method.input_type for service in declared_services() for method in service.methods}
    for method, rule in RULES.items():
        if needed_permissions(rule):
            assert "workspace_id" in requests[method].fields_by_name, method


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        (OWNER, {"runtime.confirm", "workspace.manage", "run", "log.read"}, set()),
        (EDITOR, {"notebook.edit", "run", "runtime.add", "member.manage"}, {"runtime.confirm", "runtime.manage", "workspace.manage"}),
        (AGENT, {"run", "connection.names", "outputs.save"}, {"notebook.edit", "connection.read", "member.manage", "runtime.add", "log.read"}),
        (VIEWER, {"notebook.read", "session.view"}, {"run", "outputs.save", "session.open", "connection.read", "log.read"}),
        (AUDITOR, {"log.read", "workspace.read"}, {"run", "notebook.read", "session.view", "connection.names"}),
    ],
)
def test_roles(role: MemberRole.ValueType, may: set[str], may_not: set[str]) -> None:
    assert may <= ROLE_PERMISSIONS[role]
    assert not may_not & ROLE_PERMISSIONS[role]


def test_an_organisation_admin_manages_and_does_not_read_notebooks() -> None:
    nobody = permissions_of(Caller(user_id="u", is_admin=True), MemberRole.MEMBER_ROLE_UNSPECIFIED)
    assert nobody == ADMIN_PERMISSIONS
    assert not {"notebook.read", "run", "log.read", "session.view"} & nobody


def test_a_machine_hands_out_no_access() -> None:
    machine = permissions_of(Caller(user_id="u", kind="api_key", is_admin=True), OWNER)
    assert not {"member.manage", "apikey.manage", "runtime.confirm", "workspace.manage"} & machine
    assert "run" in machine
