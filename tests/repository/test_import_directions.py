"""Arrows run one way: protos <- envelope <- cells <- {services, runtime, client}."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {
    "spin_envelope": ROOT / "envelope/src/spin_envelope",
    "spin_cells": ROOT / "cells/src/spin_cells",
    "spin_services": ROOT / "services/src/spin_services",
    "spin_runtime": ROOT / "runtime/src/spin_runtime",
    "spin_kernel": ROOT / "runtime/kernel/src/spin_kernel",
    "spin_client": ROOT / "client/src/spin_client",
}
ALLOWED = {
    "spin_envelope": {"spinapis"},
    "spin_cells": {"spinapis", "spin_envelope", "spin_kernel"},
    "spin_kernel": {"spinapis"},
    "spin_services": {"spinapis", "spin_envelope", "spin_cells"},
    "spin_runtime": {"spinapis", "spin_envelope", "spin_cells", "spin_kernel"},
    "spin_client": {"spinapis", "spin_envelope", "spin_cells"},
}
SERVICES = ("auth", "workspace", "compiler", "secrets", "audit")
OURS = {*ALLOWED, "spinapis"}


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_lies_before_it(package: str) -> None:
    files = list(SOURCES[package].rglob("*.py"))
    assert files
    wrong = {
        (str(file.relative_to(ROOT)), name)
        for file in files
        for name in imported(file)
        if name.split(".")[0] in OURS - {package} and name.split(".")[0] not in ALLOWED[package]
    }
    assert wrong == set()


def test_no_service_imports_another() -> None:
    wrong = set()
    for service in SERVICES:
        others = tuple(f"spin_services.{other}" for other in SERVICES if other != service)
        for file in (SOURCES["spin_services"] / service).rglob("*.py"):
            wrong |= {(str(file), name) for name in imported(file) if name in others or name.startswith(tuple(f"{other}." for other in others))}
    assert wrong == set()


def test_the_envelope_reads_no_clock_and_opens_no_file() -> None:
    forbidden = {"time", "datetime", "os", "socket", "asyncio", "pathlib", "io", "subprocess"}
    wrong = {(file.name, name) for file in SOURCES["spin_envelope"].rglob("*.py") for name in imported(file) if name.split(".")[0] in forbidden}
    assert wrong == set()


def test_kernels_hold_keys_and_the_broker_to_its_boundary() -> None:
    """Nothing of the runtime but the broker touches keys, envelopes or cells' process halves."""
    runtime = SOURCES["spin_runtime"]
    wrong = set()
    for part in ("server", "session", "kernels"):
        for file in (runtime / part).rglob("*.py"):
            for name in imported(file):
                inside = name.startswith("spin_runtime.broker") and not name.startswith("spin_runtime.broker.api")
                keys = name.startswith((*(f"spin_envelope.{part}" for part in ("sealing", "signing", "keys", "pairing")), "spin_cells"))
                if (inside and name != "spin_runtime.broker") or keys:
                    wrong.add((str(file.relative_to(runtime)), name))
    assert wrong == set()
