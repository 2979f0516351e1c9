"""A `spin_kernel` that records what programs ask of it, and runs programs against it."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

from spin_kernel.shell import guarded, number


class KernelCalls:
    """Each call as (name, positional, keywords), in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.environment: dict[str, str] = {}

    def module(self) -> ModuleType:
        made = ModuleType("spin_kernel")
        made.use = self._recorder("use", SimpleNamespace(value={"status": 200}))  # type: ignore[attr-defined]
        made.runtime_env = lambda name: self.environment[name]  # type: ignore[attr-defined]
        made.shell = SimpleNamespace(
            run=self._recorder("shell.run", SimpleNamespace(stdout="printed", exit_status=0)), number=number, guarded=guarded
        )  # type: ignore[attr-defined]
        made.sql = SimpleNamespace(query=self._recorder("sql.query", "rows"))  # type: ignore[attr-defined]
        made.rest = SimpleNamespace(request=self._recorder("rest.request", "response"), from_result=lambda result: result)  # type: ignore[attr-defined]
        return made

    def _recorder(self, name: str, result: Any) -> Any:
        def call(*positional: Any, **keywords: Any) -> Any:
            self.calls.append((name, positional, keywords))
            return result

        return call


def run(code: str, namespace: dict[str, Any] | None = None, environment: dict[str, str] | None = None) -> tuple[KernelCalls, dict[str, Any]]:
    """Executes a program as a kernel would, with the notebook's variables; gives the calls and the variables after it."""
    kernel = KernelCalls()
    kernel.environment = environment or {}
    variables = dict(namespace or {})
    before = sys.modules.get("spin_kernel")
    sys.modules["spin_kernel"] = kernel.module()
    try:
        exec(compile(code, "<program>", "exec"), variables)
    finally:
        del sys.modules["spin_kernel"]
        if before is not None:
            sys.modules["spin_kernel"] = before
    return kernel, {name: value for name, value in variables.items() if name != "__builtins__"}
