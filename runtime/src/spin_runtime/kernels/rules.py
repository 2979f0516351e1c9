"""What the operator chose for kernels, as the launcher is told it: made from the settings, for the supervisor to hand over."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spin_runtime.accounts import Accounts
from spin_runtime.egress.policy import Cap
from spin_runtime.launcher.rules import PROCESS, SANDBOX, EngineRules, PodRules, Rules
from spin_runtime.settings import KERNEL_UIDS, Settings

GIB = 1 << 30


@dataclass(frozen=True)
class Isolation:
    """The defaults are for development."""

    kind: str = PROCESS
    egress: Cap = field(default_factory=Cap)
    memory_bytes: int = 0
    scratch_bytes: int = GIB
    processes: int = 4096
    uids: tuple[int, int] = KERNEL_UIDS
    # Beside the interpreter's own files.
    readable: tuple[str, ...] = ()
    # Where kernels are containers.
    engine: EngineRules | None = None
    # Where they are pods.
    pods: PodRules | None = None


def isolation_of(settings: Settings) -> Isolation:
    return Isolation(
        kind=settings.isolation,
        egress=settings.egress,
        memory_bytes=settings.kernel_memory_bytes,
        scratch_bytes=settings.kernel_scratch_bytes,
        processes=settings.kernel_processes,
        uids=settings.kernel_uids,
        readable=settings.kernel_readable,
        engine=settings.engine,
        pods=settings.pods,
    )


def launcher_rules(isolation: Isolation, private: Path, environment: Mapping[str, str], accounts: Accounts | None) -> Rules:
    """`private` is the runtime's data. `environment` is the server's: kernels' specifications are found by it."""
    own = os.geteuid()
    return Rules(
        kind=isolation.kind,
        egress=isolation.egress.mode,
        readable=[*(_interpreters(environment) if isolation.kind == SANDBOX else ()), *_named(isolation, environment)],
        private=os.path.realpath(private),
        scratch_bytes=isolation.scratch_bytes,
        processes=isolation.processes,
        memory_bytes=isolation.memory_bytes,
        uids=isolation.uids if own == 0 and (accounts is not None or isolation.kind != PROCESS) else None,
        server=accounts.server if accounts else own,
        group=accounts.server if accounts else os.getegid(),
        broker=accounts.broker if accounts else own,
        engine=isolation.engine,
        pods=isolation.pods,
    )


def _interpreters(environment: Mapping[str, str]) -> list[str]:
    """The interpreter, everything that is imported from, kernels' specifications."""
    # Not before it is needed.
    from jupyter_core.paths import jupyter_path

    # The first is the folder of the program that was started, which kernels do not import from.
    imported = sys.path if sys.flags.safe_path else sys.path[1:]
    found = [sys.prefix, sys.base_prefix, sys.executable, *(path for path in imported if path), *jupyter_path("kernels")]
    found += [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    return list(dict.fromkeys(map(os.path.abspath, found)))


def _named(isolation: Isolation, environment: Mapping[str, str]) -> list[str]:
    """What the operator names. Absolute: links are followed where the rules are applied."""
    bundle = environment.get("REQUESTS_CA_BUNDLE")
    return list(dict.fromkeys(map(os.path.abspath, [*isolation.readable, *([bundle] if bundle else [])])))
