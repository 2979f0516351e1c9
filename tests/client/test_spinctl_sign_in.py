"""Signing in and out with spinctl: no secret on the command line, on the screen or in a readable file."""

import json
import stat
from pathlib import Path

import pytest

from tests.client.conftest import Spinctl
from tests.fakes.platform import API_KEY, EMAIL, LINK_TOKEN, PASSWORD, FakePlatform


async def test_a_link_from_standard_input_signs_in(spinctl: Spinctl, control_plane: FakePlatform) -> None:
    ran = await spinctl("login", stdin=f"{control_plane.url}/sign-in#token={LINK_TOKEN}\n")
    assert (ran.status, ran.out) == (0, f"Signed in to {control_plane.url} as {EMAIL}.\n")
    assert (await spinctl("whoami", "--json")).json()["email"] == EMAIL


async def test_a_password_signs_in_and_a_wrong_one_says_how_to_go_on(spinctl: Spinctl) -> None:
    assert (await spinctl("login", "--email", EMAIL, stdin=PASSWORD)).status == 0
    refused = await spinctl("login", "--email", EMAIL, stdin="wrong")
    assert refused.status == 4
    assert refused.err.splitlines()[0] == "spinctl: wrong e-mail address or password"
    assert "sign-in link" in refused.err.splitlines()[1]


async def test_an_api_key_is_traded_again_when_its_token_is_over(spinctl: Spinctl, control_plane: FakePlatform) -> None:
    assert (await spinctl("login", "--api-key", stdin=API_KEY)).status == 0
    control_plane.access_tokens.clear()
    assert (await spinctl("whoami")).status == 0


async def test_an_api_key_from_the_environment_needs_no_sign_in(spinctl: Spinctl, monkeypatch: pytest.MonkeyPatch, private_home: Path) -> None:
    monkeypatch.setenv("SPIN_API_KEY", API_KEY)
    assert (await spinctl("whoami")).status == 0
    assert not list(private_home.rglob("*.json"))


async def test_nothing_secret_is_printed_and_the_file_is_private(spinctl: Spinctl, control_plane: FakePlatform, private_home: Path) -> None:
    ran = await spinctl("login", stdin=LINK_TOKEN)
    (file,) = (private_home / "config" / "spin" / "sign-ins").glob("*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = json.loads(file.read_text())
    for secret in (LINK_TOKEN, kept["access_token"], kept["refresh_token"]):
        assert secret not in ran.out + ran.err


async def test_logout_ends_the_sign_in_at_the_platform_too(signed_in: Spinctl, control_plane: FakePlatform, private_home: Path) -> None:
    assert (await signed_in("logout")).status == 0
    assert not control_plane.refresh_tokens
    assert not list((private_home / "config" / "spin" / "sign-ins").glob("*.json"))
    again = await signed_in("whoami")
    assert again.status == 4 and "spinctl login" in again.err


async def test_two_ways_at_once_are_a_usage_error(spinctl: Spinctl) -> None:
    ran = await spinctl("login", "--link", "--api-key", stdin="x")
    assert ran.status == 2


async def test_nobody_answers(spinctl: Spinctl) -> None:
    ran = await spinctl("login", "--url", "http://localhost:9", stdin=LINK_TOKEN)
    assert ran.status == 3
    assert len(ran.err.splitlines()) <= 3
    assert "http://localhost:9" in ran.err and "Traceback" not in ran.err


async def test_errors_are_json_for_programs(spinctl: Spinctl) -> None:
    ran = await spinctl("whoami", "--json")
    assert ran.out == ""
    assert json.loads(ran.err)["error"]["reason"] == "NOT_SIGNED_IN"
