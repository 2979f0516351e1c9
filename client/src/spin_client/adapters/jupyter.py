"""jupyter_client's KernelManager and clients, with the kernel on a SPIN runtime.

    from nbclient import NotebookClient
    from spin_client.adapters.jupyter import SpinKernelManager

    NotebookClient(notebook, kernel_manager_class=SpinKernelManager).execute()

Every execute_request is compiled, signed and sealed like any cell and stands in the audit log. The manager signs in as `spinctl` does, or with
SPIN_API_KEY, and needs a workspace's id, by its trait or by SPIN_WORKSPACE. Without a notebook's id it makes one for the session and deletes it at
the end; the history stays. Its overrides differ from the base class in types as jupyter_client's own asynchronous classes do.
"""

import os
import secrets
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import AsyncKernelManager
from traitlets import Any as TraitAny
from traitlets import Unicode

from spin_client.adapters.jupyter_channels import AsyncChannel, Channel, Heartbeat
from spin_client.adapters.jupyter_host import KernelHost, LoopThread
from spin_client.sdk.endpoint import DEFAULT_URL
from spin_client.sdk.platform import Platform
from spin_client.sdk.session import RuntimeSession
from spin_client.sdk.token_stores import TokenStore
from spinapis.workspace.v1 import notebooks_pb2


class _SpinChannels:
    """Puts the host's inboxes where a client has its ZeroMQ channels."""

    def attach(self, host: KernelHost, channel: type[Channel]) -> None:
        self._shell_channel = channel(host.shell, host.send)
        self._iopub_channel = channel(host.iopub, host.send)
        self._stdin_channel = channel(host.stdin, host.send)
        self._control_channel = channel(host.control, host.send)
        self._hb_channel = Heartbeat(lambda: host.session.has_kernel)


class SpinKernelClient(_SpinChannels, AsyncKernelClient):
    """An asynchronous client."""


class BlockingSpinKernelClient(_SpinChannels, BlockingKernelClient):
    """A blocking client."""


class SpinKernelManager(AsyncKernelManager):
    """Starts, interrupts and stops a kernel on a SPIN runtime."""

    url = Unicode(help="Address of the platform.").tag(config=True)
    workspace_id = Unicode(help="Id of the workspace.").tag(config=True)
    notebook_id = Unicode(help="Id of the notebook whose session to use; empty: one for this kernel alone.").tag(config=True)
    runtime_id = Unicode(help="Id of the runtime; empty: the workspace's default.").tag(config=True)
    # A TokenStore: where the sign-in is kept; by default where spinctl keeps it.
    store = TraitAny(None, allow_none=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.url = self.url or os.environ.get("SPIN_URL", DEFAULT_URL)
        self.workspace_id = self.workspace_id or os.environ.get("SPIN_WORKSPACE", "")
        self._thread: LoopThread | None = None
        self._platform: Platform | None = None
        self._host: KernelHost | None = None
        self._own_notebook: notebooks_pb2.Notebook | None = None

    @property
    def has_kernel(self) -> bool:
        return self._host is not None

    @property
    def ipykernel(self) -> bool:
        # Command line arguments for ipykernel would not reach the runtime.
        return False

    async def start_kernel(self, **kwargs: Any) -> None:  # type: ignore[override]
        """Opens the session and starts its kernel. Working directory and arguments belong to the runtime and are not taken over."""
        self._thread = LoopThread()
        try:
            self._host = await self._thread.call_async(self._open())
        except BaseException:
            await self.cleanup_resources()
            raise

    async def shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:  # type: ignore[override]
        if self._thread is not None and self._host is not None:
            await self._thread.call_async(self._end(self._host))
        self._host = None

    async def restart_kernel(self, now: bool = False, newports: bool = False, **kwargs: Any) -> None:  # type: ignore[override]
        await self._in_session("restart")

    async def interrupt_kernel(self) -> None:  # type: ignore[override]
        await self._in_session("interrupt")

    async def is_alive(self) -> bool:  # type: ignore[override]
        return self._host is not None and self._host.session.has_kernel

    async def cleanup_resources(self, restart: bool = False) -> None:  # type: ignore[override]
        thread, self._thread = self._thread, None
        if thread is None or restart:
            return
        if self._platform is not None:
            await thread.call_async(self._platform.close())
        thread.close()

    def client(self, **kwargs: Any) -> SpinKernelClient:  # type: ignore[override]
        client = SpinKernelClient(parent=self, **kwargs)
        client.attach(self._running(), AsyncChannel)
        return client

    def blocking_client(self, **kwargs: Any) -> BlockingSpinKernelClient:
        """For programs without an event loop."""
        client = BlockingSpinKernelClient(parent=self, **kwargs)
        client.attach(self._running(), Channel)
        return client

    def _running(self) -> KernelHost:
        if self._host is None:
            raise RuntimeError("No kernel is running!")
        return self._host

    async def _in_session(self, method: str) -> None:
        host = self._running()
        assert self._thread is not None, "a host lives in its thread"
        await self._thread.call_async(getattr(host.session, method)())

    # -- in the session's loop

    async def _open(self) -> KernelHost:
        store: TokenStore | None = self.store
        self._platform = await Platform.connect(self.url, store=store, api_key=os.environ.get("SPIN_API_KEY", ""))
        notebook_id = self.notebook_id or (await self._make_notebook(self._platform)).id
        session = await RuntimeSession.open(self._platform, self.workspace_id, notebook_id, runtime_id=self.runtime_id, kernel_name=self.kernel_name)
        await session.start_kernel(self.kernel_name)
        return KernelHost(session)

    async def _make_notebook(self, platform: Platform) -> notebooks_pb2.Notebook:
        request = notebooks_pb2.CreateNotebookRequest(
            workspace_id=self.workspace_id, idempotency_key=secrets.token_hex(16), title=f"Jupyter kernel {self.kernel_name}"
        )
        self._own_notebook = (await platform.notebooks.CreateNotebook(request)).notebook
        return self._own_notebook

    async def _end(self, host: KernelHost) -> None:
        await host.close()
        await host.session.stop_kernel()
        await host.session.settle()
        if self._own_notebook is not None and self._platform is not None:
            await host.session.end()
            own, self._own_notebook = self._own_notebook, None
            request = notebooks_pb2.DeleteNotebookRequest(workspace_id=own.workspace_id, notebook_id=own.id, etag=own.etag)
            await self._platform.notebooks.DeleteNotebook(request)
        await host.session.close()
