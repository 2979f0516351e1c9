"""The operator's file of secret managers: SPIN_SECRET_MANAGERS, or etc/secret-managers.json below SPIN_HOME where that is there.

- Everything that is wrong is found when the runtime starts, and said together: what, where in the file, how to mend it.
- The file holds no secrets: identities are in files or variables that it names. Cells cannot read those variables, nor those that a manager serves.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from spin_runtime.broker.managers.leases import Bounds
from spin_runtime.broker.managers.permission import Rule, matches
from spin_runtime.broker.managers.schema import EITHER, FILES, KINDS, VAULT_AUTH

# What vendors' SDKs take their identity from.
IDENTITIES = {
    "vault": ("VAULT_TOKEN",),
    "aws_secrets_manager": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"),
    "azure_key_vault": ("AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PASSWORD", "AZURE_PASSWORD"),
}
IDENTITIES["aws_ssm"] = IDENTITIES["aws_secrets_manager"]
MAXIMUM_FILE = 1 << 20
# As a connection names it.
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
FILE_OF_AUTHORITIES = ("aws_secrets_manager", "aws_ssm", "azure_key_vault")


class ConfigurationInvalid(Exception):
    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclass(frozen=True)
class ManagerConfiguration:
    name: str
    kind: str
    rules: tuple[Rule, ...]
    bounds: Bounds
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Configuration:
    managers: Mapping[str, ManagerConfiguration] = field(default_factory=dict)

    def withheld(self, environment: Mapping[str, str]) -> frozenset[str]:
        """The variables that cells may not read: identities, and what `runtime_env` serves."""
        names = {name for manager in self.managers.values() for name in (*_variables(manager.options), *IDENTITIES.get(manager.kind, ()))}
        served = [rule.path for manager in self.managers.values() if manager.kind == "runtime_env" for rule in manager.rules]
        return frozenset(names | {name for name in environment if any(matches(pattern, name) for pattern in served)})

    def files(self) -> list[Path]:
        return [path for manager in self.managers.values() for _, path in _files(manager.options)]


NONE = Configuration()


def load(path: Path | None, environment: Mapping[str, str]) -> Configuration:
    """Raises ConfigurationInvalid."""
    if path is None:
        return NONE
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationInvalid(
            [f"the secret managers' file {path} cannot be read: {error.strerror}. Correct SPIN_SECRET_MANAGERS, or the file's rights"]
        ) from None
    faults = [f"{path}: {fault}" for fault in _read(data, environment)]
    if faults:
        raise ConfigurationInvalid(faults)
    return Configuration({name: _manager(name, value) for name, value in json.loads(data)["managers"].items()})


def _read(data: bytes, environment: Mapping[str, str]) -> Iterator[str]:
    if len(data) > MAXIMUM_FILE:
        yield "is over 1 MiB"
        return
    try:
        document = json.loads(data, object_pairs_hook=_unique)
    except RecursionError:
        yield "is nested too deeply"
        return
    except ValueError as error:
        yield f"is not JSON: {error}"
        return
    if not isinstance(document, dict) or set(document) != {"managers"} or not isinstance(document["managers"], dict):
        yield 'must be {"managers": {NAME: {"kind": …, "allow": […]}}}'
        return
    for name, manager in document["managers"].items():
        yield from (f"managers.{name}{fault}" for fault in _faults(name, manager, environment))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError(f"a name occurs twice in the object with {', '.join(list(members)[:3])}")
    return members


def _faults(name: str, manager: Any, environment: Mapping[str, str]) -> Iterator[str]:
    if not NAME.fullmatch(name):
        yield ": a manager's name is up to 63 of a-z, 0-9, dot, hyphen and underscore"
    kind = manager.get("kind") if isinstance(manager, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        yield f".kind: must be one of {', '.join(KINDS)}"
        return
    found = [*_schema_faults(manager, KINDS[kind])]
    if kind == "vault" and not found:
        found = [f".auth{fault}" for fault in _schema_faults(manager["auth"], VAULT_AUTH[manager["auth"]["method"]])]
    yield from found
    if not found:
        yield from _surroundings(manager, environment)


def _schema_faults(value: Any, schema: Mapping[str, Any]) -> Iterator[str]:
    for error in sorted(Draft202012Validator(schema).iter_errors(value), key=lambda error: list(map(str, error.absolute_path))):
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
        schema_here: Any = error.schema
        wanted = schema_here.get("description", "") if error.validator not in ("required", "additionalProperties") else ""
        # Of a wrong value only its place is told: somebody may have put a secret there.
        yield f"{where}: must be {wanted}" if wanted else f"{where}: {error.message[:200]}"


def _surroundings(manager: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[str]:
    for place in ("auth", "identity"):
        value = manager.get(place, {})
        pair = EITHER.get(value.get("method", place) if value else "")
        if pair and sum(name in value for name in pair) != 1:
            yield f".{place}: needs {pair[0]} or {pair[1]}, and not both"
    for name in _variables(manager):
        if not environment.get(name):
            yield f": the runtime's environment has no variable {name}, which it names: set it, or name a file"
    for name, path in _files(manager):
        if not os.access(path, os.R_OK):
            yield f".{name}: the file {path} is not there, or cannot be read"
    trusted = environment.get("REQUESTS_CA_BUNDLE", "")
    if manager["kind"] in FILE_OF_AUTHORITIES and "ca_file" not in manager and Path(trusted).is_dir() and trusted:
        yield f".ca_file: is needed, because REQUESTS_CA_BUNDLE is a directory, which the SDK of {manager['kind']} does not read"
    root = manager.get("root")
    if root and not Path(root).is_dir():
        yield f".root: there is no folder {root}"


def _variables(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _variables(value)
        elif name.endswith("_env"):
            yield value


def _files(options: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", path) for inner, path in _files(value))
        elif name in FILES:
            yield name, Path(value)


def identity_files(options: Mapping[str, Any]) -> Iterator[Path]:
    """The files that hold a secret of the runtime's identity."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from identity_files(value)
        elif name.endswith("_file") and name != "ca_file":
            yield Path(value)


def _manager(name: str, value: Mapping[str, Any]) -> ManagerConfiguration:
    options = {key: option for key, option in value.items() if key not in ("kind", "allow", "keep_s", "timeout_s")}
    bounds = Bounds(float(value.get("keep_s", Bounds.keep_s)), float(value.get("timeout_s", Bounds.timeout_s)))
    return ManagerConfiguration(name, value["kind"], tuple(_rule(rule) for rule in value["allow"]), bounds, options)


def _rule(rule: Any) -> Rule:
    if isinstance(rule, str):
        return Rule(rule)
    return Rule(rule["path"], frozenset(host.lower() for host in rule.get("hosts", ())), rule.get("expose", False))
