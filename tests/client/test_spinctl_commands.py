"""Administration with spinctl: lists, names for ids, secrets that go in and stay in, usage errors."""

import json
from pathlib import Path

import pytest

from spin_client.cli.main import hoisted
from tests.client.conftest import Bench, Spinctl
from tests.fakes.platform import FakePlatform


async def test_lists_ask_for_every_page(signed_in: Spinctl, control_plane: FakePlatform) -> None:
    for number in range(5):
        control_plane.add_workspace(f"w{number}")
    assert [w["name"] for w in (await signed_in("workspace", "list", "--json")).json()] == ["w0", "w1", "w2", "w3", "w4"]


async def test_without_a_terminal_a_list_is_tab_separated(signed_in: Spinctl, control_plane: FakePlatform) -> None:
    workspace = control_plane.add_workspace("Operations")
    ran = await signed_in("workspace", "list")
    assert ran.out.split("\t")[:2] == [workspace.id, "Operations"]


async def test_the_workspace_is_found_by_name_by_option_and_by_setting(signed_in: Spinctl, control_plane: FakePlatform) -> None:
    control_plane.add_workspace("one")
    two = control_plane.add_workspace("two")
    several = await signed_in("notebook", "list")
    assert several.status == 2 and "--workspace" in several.err
    assert (await signed_in("notebook", "create", "Title", "--workspace", "two")).status == 0
    assert (await signed_in("workspace", "use", "two")).status == 0
    assert [n["workspace_id"] for n in (await signed_in("notebook", "list", "--json")).json()] == [two.id]


async def test_an_unknown_name_says_where_to_look(signed_in: Spinctl, control_plane: FakePlatform) -> None:
    control_plane.add_workspace()
    ran = await signed_in("notebook", "show", "Nothing")
    assert ran.status == 4
    assert ran.err == "spinctl: there is no notebook 'Nothing': see `spinctl notebook list`\n"


async def test_two_of_a_title_are_told_apart_by_id(signed_in: Spinctl, control_plane: FakePlatform) -> None:
    workspace = control_plane.add_workspace()
    first = control_plane.add_notebook(workspace.id, "Same", [])
    control_plane.add_notebook(workspace.id, "Same", [])
    ran = await signed_in("notebook", "show", "Same")
    assert ran.status == 2 and first.id in ran.err
    assert (await signed_in("notebook", "show", first.id)).status == 0


async def test_a_notebook_goes_in_and_out(signed_in: Spinctl, control_plane: FakePlatform, tmp_path: Path) -> None:
    control_plane.add_workspace()
    cells = [{"cell_type": "code", "id": "a", "source": "1", "metadata": {}, "outputs": [], "execution_count": None}]
    file = tmp_path / "incident.ipynb"
    file.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}))
    assert (await signed_in("notebook", "import", str(file), "--json")).json()["title"] == "incident"
    assert json.loads((await signed_in("notebook", "export", "incident", "-o", "-")).out)["cells"][0]["source"] == ["1"]


async def test_a_file_that_is_not_there(signed_in: Spinctl, control_plane: FakePlatform, tmp_path: Path) -> None:
    control_plane.add_workspace()
    ran = await signed_in("notebook", "import", str(tmp_path / "none.ipynb"))
    assert ran.status == 2 and "No such file" in ran.err


async def test_deleting_without_a_terminal_needs_yes(signed_in: Spinctl, control_plane: FakePlatform) -> None:
    control_plane.add_workspace("here")
    ran = await signed_in("workspace", "delete", "here")
    assert ran.status == 2 and "--yes" in ran.err
    assert (await signed_in("workspace", "delete", "here", "--yes")).status == 0
    assert not control_plane.workspaces


async def test_members_come_and_change_and_go(signed_in: Spinctl, control_plane: FakePlatform) -> None:
    control_plane.add_workspace()
    added = await signed_in("member", "add", "ada@example.com", "--role", "editor")
    assert "an editor" in added.out and "/sign-in#token=" in added.out
    assert (await signed_in("member", "set-role", "ada@example.com", "auditor", "--json")).json()["role"] == "auditor"
    assert (await signed_in("member", "remove", "ada@example.com", "--yes")).status == 0
    assert (await signed_in("member", "set-role", "ada@example.com", "king")).status == 2


async def test_an_api_keys_secret_is_printed_once(signed_in: Spinctl, control_plane: FakePlatform) -> None:
    control_plane.add_workspace()
    assert (await signed_in("api-key", "create", "ci")).out == "spk1.shown-once\n"
    listed = await signed_in("api-key", "list", "--json")
    assert "shown-once" not in listed.out and listed.json()[0]["name"] == "ci"
    assert (await signed_in("api-key", "revoke", "ci", "--yes")).status == 0


async def test_a_credential_comes_from_standard_input_and_is_never_shown(signed_in: Spinctl, control_plane: FakePlatform) -> None:
    control_plane.add_workspace()
    made = await signed_in("connection", "create", "api", "--kind", "rest", "--set", "url=https://api.localhost", stdin='{"token": "s3cret"}')
    assert made.status == 0
    assert list(control_plane.credentials.values()) == [{"token": "s3cret"}]
    shown = await signed_in("connection", "show", "api", "--json")
    assert shown.json()["credential_fields"] == ["token"] and shown.json()["config"] == {"url": "https://api.localhost"}
    assert "s3cret" not in made.out + made.err + shown.out


async def test_a_malformed_credential_is_not_repeated(signed_in: Spinctl, control_plane: FakePlatform) -> None:
    control_plane.add_workspace()
    ran = await signed_in("connection", "create", "api", "--kind", "rest", stdin="s3cret-without-braces")
    assert ran.status == 2 and "s3cret" not in ran.err


@pytest.mark.parametrize("arguments", [["nonsense"], ["notebook", "show"], ["workspace", "list", "--nonsense"], ["notebook", "restore", "x", "none"]])
async def test_wrong_usage_is_one_line_and_status_2(spinctl: Spinctl, arguments: list[str]) -> None:
    ran = await spinctl(*arguments)
    assert ran.status == 2
    assert ran.err.startswith("spinctl: ") and "--help" in ran.err and len(ran.err.splitlines()) == 1


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://localhost", "http://localhost:8080/path", "http://user:pw@localhost"])
async def test_an_address_that_is_none(spinctl: Spinctl, url: str) -> None:
    ran = await spinctl("whoami", "--url", url)
    assert ran.status == 2 and "address" in ran.err and "pw@" not in ran.err


async def test_a_broken_settings_file_is_named(spinctl: Spinctl, private_home: Path) -> None:
    folder = private_home / "config" / "spin"
    folder.mkdir(parents=True)
    (folder / "spinctl.toml").write_text("colour = true\n")
    ran = await spinctl("whoami")
    assert ran.status == 2 and "spinctl.toml" in ran.err and "colour" in ran.err


async def test_the_token_is_written_to_a_private_file_and_the_runtime_confirmed(signed_in: Spinctl, bench: Bench, tmp_path: Path) -> None:
    shown = await signed_in("runtime", "list", "--json")
    assert [(r["name"], r["status"]) for r in shown.json()] == [("here", "confirmed")]
    token = tmp_path / "token"
    added = await signed_in("runtime", "add", "there", "http://localhost:8899", "--token-file", str(token), "--wait", "0")
    assert added.status == 0 and token.stat().st_mode & 0o777 == 0o600
    assert token.read_text().startswith("spin1.") and token.read_text().strip() not in added.out
    late = await signed_in("runtime", "confirm", "there", "--yes-fingerprint", "00")
    assert late.status == 4 and "not paired" in late.err


async def test_a_wrong_fingerprint_confirms_nothing(signed_in: Spinctl, bench: Bench) -> None:
    bench.control_plane.confirmations.clear()
    wrong = await signed_in("runtime", "confirm", "here", "--yes-fingerprint", "ab" * 32)
    assert wrong.status == 4 and not bench.control_plane.confirmations
    fingerprint = (await signed_in("runtime", "show", "here", "--json")).json()["fingerprint"]
    assert (await signed_in("runtime", "confirm", "here", "--yes-fingerprint", fingerprint)).status == 0


async def test_an_inherited_runtime_is_shown_with_its_fingerprint(signed_in: Spinctl, bench: Bench) -> None:
    """Its enrolment names the workspace that shares it, not the child that asks."""
    child = bench.control_plane.add_workspace("Child")
    shown = await signed_in("runtime", "show", "here", "--workspace", child.id, "--json")
    assert shown.status == 0 and shown.json()["fingerprint"] == bench.runtime.fingerprint.hex()


async def test_a_runtime_that_is_enrolled_elsewhere_is_not_shown_as_trusted(signed_in: Spinctl, bench: Bench) -> None:
    bench.control_plane.runtimes[bench.registered.id].workspace_id = "ab" * 16
    child = bench.control_plane.add_workspace("Child")
    shown = await signed_in("runtime", "show", "here", "--workspace", child.id)
    assert shown.status == 4 and "does not share its runtimes" in shown.err


def test_the_options_of_every_command_may_stand_anywhere() -> None:
    line = ["notebook", "list", "--json", "--url", "http://x", "--workspace=w", "--", "--json"]
    assert hoisted(line) == ["--json", "--url", "http://x", "--workspace=w", "notebook", "list", "--", "--json"]


async def test_keys_are_listed_rotated_retired_and_destroyed(signed_in: Spinctl, control_plane: FakePlatform) -> None:
    control_plane.add_workspace()
    assert json.loads((await signed_in("key", "list", "--json")).out)[0]["credentials"] == 2
    assert "Version 2 is current" in (await signed_in("key", "rotate")).out
    assert (await signed_in("key", "minimum", "2")).status == 0
    refused = await signed_in("key", "destroy", "1", "--yes")
    assert refused.status == 2 and "2 credentials are under this version" in refused.err
    destroyed = await signed_in("key", "destroy", "1", "--erase-credentials", "--yes", "--json")
    assert json.loads(destroyed.out) == {"version": 1, "erased_credentials": 2}


async def test_grants_of_a_connection_name_roles_and_people(signed_in: Spinctl, control_plane: FakePlatform) -> None:
    control_plane.add_workspace()
    await signed_in("connection", "create", "api", "--kind", "rest", "--no-credential")
    granted = await signed_in("connection", "grant", "api", "--use", "agent", "--use", "0a1b", "--manage", "owner", "--json")
    said = [(grant["level"], grant["role"], grant["user_id"]) for grant in granted.json()["grants"]]
    assert said == [("use", "agent", ""), ("use", "unspecified", "0a1b"), ("manage", "owner", "")]
    assert "0 grants" in (await signed_in("connection", "grant", "api")).out
