"""The rendered configuration is one that Envoy takes, in every profile; what Envoy refuses would have been noticed here."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from scripts.gateway.render import deployed, render
from scripts.gateway.values import SERVICES, Profile, public_paths

ROOT = Path(__file__).resolve().parents[2]
DESCRIPTORS = ROOT / "protos/gen/descriptors.binpb"
ENVOY = Path(sys.executable).parent / "envoy"


def local() -> Profile:
    return Profile(
        listen="127.0.0.1:18080",
        admin="127.0.0.1:18081",
        public_url="http://localhost:18080",
        service_addresses={name: f"127.0.0.1:{19001 + index}" for index, name in enumerate(SERVICES)},
        ui_address="127.0.0.1:19006",
        descriptors=DESCRIPTORS,
    )


def validate(text: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "envoy.yaml"
    file.write_text(text)
    return subprocess.run([ENVOY, "--mode", "validate", "-c", file], capture_output=True, text=True, timeout=60, check=False)


PROFILES = {
    "local": local(),
    "compose": deployed("compose", "https://spin.example.com"),
    "helm": deployed("helm", "https://spin.example.com"),
    "traced, with other origins": dataclasses.replace(local(), otlp_address="127.0.0.1:4317", cors_origins=("https://app.example.com",)),
}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_envoy_accepts_the_configuration(profile: Profile, tmp_path: Path) -> None:
    result = validate(render(profile), tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "deprecated" not in result.stderr.lower()
    assert "work-in-progress" not in result.stderr


def test_envoy_refuses_a_field_it_does_not_know(tmp_path: Path) -> None:
    text = render(local()).replace("normalize_path: true", "normalise_path: true")
    result = validate(text, tmp_path)
    assert result.returncode != 0
    assert "normalise_path" in result.stderr


def test_only_sign_in_and_public_keys_need_no_token() -> None:
    paths = set(public_paths(DESCRIPTORS))
    assert {"/.well-known/jwks.json", "/v1/sign-in/password", "/spinapis.auth.v1.SignInService/RefreshTokens", "/v1/root-documents"} <= paths
    assert all(p.startswith(("/spinapis.auth.v1.", "/v1/sign-in/", "/v1/sign-out", "/.well-known/", "/v1/root-documents")) for p in paths), paths


def test_everything_else_under_the_api_wants_a_token() -> None:
    configuration = yaml.safe_load(render(local()))
    filters = configuration["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
    rules = next(f for f in filters if f["name"] == "envoy.filters.http.jwt_authn")["typed_config"]["rules"]
    guarded = [rule["match"]["prefix"] for rule in rules if "requires" in rule]
    assert guarded == ["/spinapis.", "/v1/"]
    assert [rule for rule in rules if "requires" not in rule and "prefix" in rule["match"]] == []


def test_streams_have_no_time_limit_and_calls_have_one() -> None:
    configuration = yaml.safe_load(render(local()))
    manager = configuration["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    routes = manager["route_config"]["virtual_hosts"][0]["routes"]
    endless = {route["match"]["path"] for route in routes if route.get("route", {}).get("timeout") == "0s"}
    assert endless == {
        "/spinapis.workspace.v1.WorkspaceService/WatchWorkspace",
        "/spinapis.audit.v1.LogService/WatchEntries",
        "/spinapis.audit.v1.LogService/ExportLog",
    }


def test_other_origins_are_matched_as_exact_strings() -> None:
    text = render(PROFILES["traced, with other origins"])
    assert '"exact": "https://app.example.com"' in text
    assert "prefix_match" not in text and '"safe_regex": ".*"' not in text
