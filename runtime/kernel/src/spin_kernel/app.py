"""`python -P -m spin_kernel.app`: ipykernel without its hand-overs between threads, which cost more than running a short cell.

- Requests are read by the thread that runs the cells. So there are no subshells: what is asked while a cell runs goes over the control channel.
- What is published goes out in the thread that says it: see `publisher`.
- A notebook's files are modules for whoever names them, and stand in the way of no installed one: else what somebody left in the folder would be
  imported by the kernel itself, or by the next cell that uses a connection. So -P, and the folder comes last.
- Everything else is ipykernel's, with its options and its configuration.
"""

import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import zmq
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp

from spin_kernel.publisher import Publisher

# ipykernel's classes are half typed.
_Kernel: Any = IPythonKernel
_App: Any = IPKernelApp


class SpinKernel(_Kernel):  # type: ignore[misc]
    _supports_kernel_subshells = False

    def start(self) -> None:
        super().start()
        # By this ipykernel tells whether it is in the main thread.
        self.shell_channel_thread = SimpleNamespace(parent_thread=threading.main_thread())

    def _publish_status(self, status: str, channel: str, parent: Any = None) -> None:
        parent = parent or self.get_parent(channel)
        if status == "busy" and channel == "shell" and _shows_input(parent):
            message = self.session.msg("status", {"execution_state": status}, parent=parent)
            # Nothing is between it and the cell's input.
            self.iopub_thread.hold(self.session.serialize(message, self._topic("status")))
        else:
            super()._publish_status(status, channel, parent)

    def pre_handler_hook(self) -> None:
        self.saved_sigint_handler = signal.signal(signal.SIGINT, self.iopub_thread.on_interrupt)


def _shows_input(request: Mapping[str, Any]) -> bool:
    return request["header"].get("msg_type") == "execute_request" and request["content"].get("silent") is False


class SpinKernelApp(_App):  # type: ignore[misc]
    shell_channel_thread: Any
    iopub_port: Any

    def initialize(self, argv: Sequence[str] | None = None) -> None:
        super().initialize(argv)
        # traitlets makes every record and lets the handler drop it.
        self.log.setLevel(self.log_level)

    def init_path(self) -> None:
        sys.path.append("")

    def init_control(self, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
        super().init_control(context)
        self.shell_channel_thread.io_loop.close()
        self.shell_channel_thread = None

    def init_iopub(self, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
        self.iopub_socket = context.socket(zmq.XPUB)
        self.iopub_socket.linger = 1000
        self._apply_curve_server_options(self.iopub_socket)
        self.iopub_port = self._bind_socket(self.iopub_socket, self.iopub_port)
        self.configure_tornado_logger()
        self.iopub_thread = Publisher(self.iopub_socket, pipe=True, session=self.session)
        self.iopub_thread.start()
        self.iopub_socket = self.iopub_thread.background_socket


if __name__ == "__main__":
    SpinKernelApp.launch_instance(kernel_class=SpinKernel)
