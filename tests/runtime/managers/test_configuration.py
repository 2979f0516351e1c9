"""The operator's file: what is wrong with it is said with its place; and what it allows."""

import json
from pathlib import Path
from typing import Any

import pytest

from spin_cells.api import Credential, SecretReference
from spin_runtime.broker.managers.configuration import Configuration, ConfigurationInvalid, load
from spin_runtime.broker.managers.permission import Rule, matches, refusal
from spin_runtime.broker.managers.resolve import permitted
from spin_runtime.broker.refusals import Denial
from spinapis.errors.v1 import reasons_pb2

VAULT = {
    "kind": "vault",
    "address": "https://vault.example.org:8200",
    "auth": {"method": "token", "token_file": "/run/token"},
    "allow": ["secret/ci/*"],
}


def loaded(folder: Path, content: Any, environment: dict[str, str] | None = None) -> Configuration:
    path = folder / "secret-managers.json"
    path.write_text(content if isinstance(content, str) else json.dumps({"managers": content}))
    return load(path, environment or {})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is not JSON: .* line 1"),
        ("[]", "must be {"),
        ('{"managers": {}, "more": 1}', "must be {"),
        ('{"managers": {"a": {}, "a": {}}}', "occurs twice"),
        ("[" * 100_000, "nested too deeply|is not JSON"),
        ({"Vault": VAULT}, "managers.Vault: a manager's name"),
        ({"vault": 1}, "managers.vault.kind: must be one of vault, aws_secrets_manager"),
        ({"vault": VAULT | {"kind": "hashicorp"}}, "managers.vault.kind: must be one of"),
        ({"vault": VAULT | {"allow": []}}, "managers.vault.allow"),
        ({"vault": {name: value for name, value in VAULT.items() if name != "allow"}}, "'allow' is a required"),
        ({"vault": VAULT | {"address": "http://vault.example.org"}}, r"managers.vault.address: must be an address with https://"),
        ({"vault": VAULT | {"adress": "x"}}, "'adress' was unexpected"),
        ({"vault": VAULT | {"auth": {"method": "userpass"}}}, r"managers.vault.auth.method"),
        ({"vault": VAULT | {"auth": {"method": "approle", "role_id": "r"}}}, r"managers.vault.auth: needs secret_id_file or secret_id_env"),
        ({"vault": VAULT | {"auth": {"method": "approle", "secret_id": "deadbeef"}}}, r"managers.vault.auth: .*(role_id|secret_id)"),
        ({"vault": VAULT | {"auth": {"method": "token", "token_env": "NOT_SET"}}}, "no variable NOT_SET"),
        ({"vault": VAULT | {"ca_file": "/nowhere/ca.pem"}}, r"managers.vault.ca_file: the file /nowhere/ca.pem is not there"),
        ({"vault": VAULT | {"keep_s": 86400}}, "managers.vault.keep_s: must be for how many seconds"),
        ({"vault": VAULT | {"allow": [{"path": "a", "host": "b"}]}}, r"managers.vault.allow\[0\]"),
        ({"files": {"kind": "file", "root": "/nowhere", "allow": ["*"]}}, "managers.files.root: there is no folder /nowhere"),
        ({"azure": {"kind": "azure_key_vault", "vault_url": "https://a.vault.azure.net", "allow": ["*"]}}, "REQUESTS_CA_BUNDLE is a directory"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, content: Any, told: str) -> None:
    with pytest.raises(ConfigurationInvalid, match=told) as caught:
        loaded(tmp_path, content, {"REQUESTS_CA_BUNDLE": str(tmp_path)})
    assert "deadbeef" not in str(caught.value) and "secret-managers.json" in str(caught.value)


def test_all_faults_are_told_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        loaded(tmp_path, {"vault": VAULT | {"keep_s": -1}, "other": {"kind": "none"}})
    assert len(caught.value.faults) == 2


def test_a_file_that_is_named_and_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="cannot be read: No such file"):
        load(tmp_path / "none.json", {})
    assert load(None, {}).managers == {}


def test_variables_of_managers_are_not_for_cells(tmp_path: Path) -> None:
    managers = {
        "vault": VAULT | {"auth": {"method": "token", "token_env": "MY_VAULT_TOKEN"}},
        "aws": {"kind": "aws_ssm", "region": "eu-west-1", "allow": ["/spin/*"]},
        "environment": {"kind": "runtime_env", "allow": ["DATABASE_*"]},
    }
    environment = {"MY_VAULT_TOKEN": "t", "DATABASE_PASSWORD": "p", "REGION": "north", "AWS_SECRET_ACCESS_KEY": "k"}
    withheld = loaded(tmp_path, managers, environment).withheld(environment)
    assert withheld & environment.keys() == {"MY_VAULT_TOKEN", "DATABASE_PASSWORD", "AWS_SECRET_ACCESS_KEY"}


@pytest.mark.parametrize(
    ("pattern", "path", "does"),
    [
        ("secret/ci/*", "secret/ci/github", True),
        ("secret/ci/*", "secret/ci/github/token", False),
        ("secret/ci/*", "secret/cix/github", False),
        ("secret/ci/**", "secret/ci/github/token", True),
        ("secret/ci-*/app", "secret/ci-1/app", True),
        ("secret/ci", "secret/ci/", False),
        ("secret/ci", "secret/ci\n", False),
        ("a.b", "axb", False),
        ("DB_*", "DB_PASSWORD", True),
    ],
)
def test_patterns(pattern: str, path: str, does: bool) -> None:
    assert matches(pattern, path) is does


def test_hosts_and_exposing() -> None:
    rules = [Rule("ci/*", frozenset({"api.github.com"})), Rule("shown", expose=True)]
    assert refusal(rules, "ci/github", {"api.github.com"}, False) == ""
    for hosts in ({"api.github.com", "evil.example"}, {"evil.example"}, set()):
        assert "api.github.com alone" in refusal(rules, "ci/github", hosts, False)
    assert "may not be shown" in refusal(rules, "ci/github", {"api.github.com"}, True)
    assert refusal(rules, "shown", set(), True) == ""
    assert '"allow"' in refusal(rules, "prod/root", {"api.github.com"}, False)


@pytest.mark.parametrize(
    "path", ["secret/ci/../root", "secret/ci/./x", "secret/ci//x", "secret/ci/x?list=true", "secret/ci/%2e%2e", "secret/ci/x\n", "a#b", ""]
)
def test_a_path_that_steps_out(tmp_path: Path, path: str) -> None:
    managers = loaded(tmp_path, {"vault": VAULT | {"allow": ["**"]}}).managers
    credential = Credential(b"", "ci", "rest", {}, {}, references={"token": SecretReference("vault", path)})
    with pytest.raises(Denial) as caught:
        permitted(managers, credential, {"api.example.org"}, False)
    assert caught.value.reason == reasons_pb2.ERROR_REASON_SECRET_REFERENCE_REFUSED
