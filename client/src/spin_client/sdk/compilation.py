"""Turns a cell into a sealed program: CompileCell, with the session's attachment and kernel."""

from collections.abc import Mapping
from typing import TypedDict, Unpack

from spin_client.sdk import tracing
from spin_client.sdk.errors import SpinError
from spin_client.sdk.kernel_link import KernelWatch
from spin_client.sdk.platform import Platform
from spin_client.sdk.run import Run
from spin_client.sdk.standing import Standing
from spinapis.compiler.v1 import compiler_pb2
from spinapis.envelope.v1 import run_pb2
from spinapis.workspace.v1 import notebooks_pb2


class RunFlags(TypedDict, total=False):
    """How the kernel is to execute a cell: Jupyter's flags, and limits."""

    silent: bool
    store_history: bool
    allow_stdin: bool
    stop_on_error: bool
    limits: run_pb2.Limits | None
    user_expressions: Mapping[str, str]


class Compilation:
    def __init__(self, platform: Platform, session: notebooks_pb2.Session, standing: Standing, kernel: KernelWatch) -> None:
        self._platform, self._session, self._standing, self._kernel = platform, session, standing, kernel

    async def compiled(self, cell: notebooks_pb2.Cell, **flags: Unpack[RunFlags]) -> Run:
        """The cell's run, not sent yet."""
        request = self._request(cell, **flags)
        try:
            return await self._run(cell.id, request)
        except SpinError as error:
            if error.reason not in ("HELLO_STALE", "BUNDLE_STALE"):
                raise
            if error.reason == "BUNDLE_STALE":
                await self._standing.newer_credentials(than=request.bundle_version)
            else:
                await self._standing.mend(error.reason)
            return await self._run(cell.id, request)

    async def _run(self, cell_id: str, request: compiler_pb2.CompileCellRequest) -> Run:
        """All that a run sets off, here and in the runtime, belongs to one trace: the caller's, or a new one."""
        with tracing.operation("spin.run"):
            return Run(cell_id, await self._once(request), tracing.traceparent())

    def _request(self, cell: notebooks_pb2.Cell, **flags: Unpack[RunFlags]) -> compiler_pb2.CompileCellRequest:
        return compiler_pb2.CompileCellRequest(
            workspace_id=self._session.workspace_id,
            notebook_id=self._session.notebook_id,
            cell_id=cell.id,
            cell=compiler_pb2.CellDefinition(cell_type=cell.cell_type, source=cell.source, fields_json=cell.fields_json),
            session_id=self._session.id,
            limits=flags.get("limits"),
            silent=flags.get("silent", False),
            store_history=flags.get("store_history", True),
            allow_stdin=flags.get("allow_stdin", False),
            stop_on_error=flags.get("stop_on_error", True),
            user_expressions=flags.get("user_expressions", {}),
        )

    async def _once(self, request: compiler_pb2.CompileCellRequest) -> compiler_pb2.CompileCellResponse:
        attachment = await self._standing.attachment()
        request.hello, request.challenge = attachment.hello, attachment.challenge
        request.kernel_epoch, request.kernel_language = self._kernel.state.kernel_epoch, self._kernel.state.language
        request.bundle_version = self._standing.bundle_held
        answer = await self._platform.compiler.CompileCell(request)
        if answer.min_bundle_version:
            await self._standing.credentials_there()
        return answer
