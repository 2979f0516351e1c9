"""A kernel behind its ZeroMQ sockets.

What belongs to an execute request goes to the sink; replies to other requests resolve their futures, and what the kernel publishes
about those (busy, idle) goes nowhere. Requests that only read go to ipykernel's control channel, so that they are answered
while a cell runs; other kernels answer them after the cell. The process's end is noticed by its pidfd at once, or by asking the
provisioner once a second.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import orjson

from spin_runtime.kernels.api import Execute, KernelMessage, KernelStartFailed, Sink
from spin_runtime.kernels.channel import Channel, Parts
from spin_runtime.kernels.launch import IPYKERNEL_WAITS, Launched, spec_of
from spin_runtime.kernels.unstarted import not_up
from spin_runtime.kernels.wire import DELIMITER, EMPTY, Wire, content_of
from spinapis.envelope.v1.attach_pb2 import EgressPolicy

READY_TIMEOUT_S = 30.0
# A kernel without iopub_welcome gives no sign that the subscription arrived: ask again until iopub speaks.
ASK_AGAIN_S = 0.2
REQUEST_TIMEOUT_S = 10.0
SHUTDOWN_WAIT_S = 2.0
POLL_S = 1.0


class JupyterKernel:
    def __init__(self, name: str, launched: Launched) -> None:
        manager = launched.manager
        self._name, self._launched = name, launched
        self._language = str(spec_of(manager).language)
        self._interrupt_by_message = spec_of(manager).interrupt_mode == "message"
        self._wire = Wire(manager.session.key)
        self._sink: Sink | None = None
        self._pending: dict[str, asyncio.Future[KernelMessage]] = {}
        self._quiet: set[str] = set()
        self._heard = asyncio.Event()
        self._input_parent = EMPTY
        self._exited = asyncio.Event()
        self._stopping = False
        self._admitted = ("", "")
        self._death: Callable[[str], Awaitable[None]] | None = None
        self._iopub = Channel(launched.connect("iopub"), self._on_iopub)
        self._shell = Channel(launched.connect("shell", self._wire.session), self._on_reply)
        self._control = Channel(launched.connect("control"), self._on_reply)
        self._stdin = Channel(launched.connect("stdin", self._wire.session), self._on_stdin)
        self._watch = asyncio.create_task(self._watch_process())

    @property
    def name(self) -> str:
        return self._name

    @property
    def language(self) -> str:
        return self._language

    @property
    def egress(self) -> EgressPolicy:
        return self._launched.egress

    def give(self, egress: EgressPolicy) -> None:
        """To one that was started with the same mode, before its first program."""
        self._launched = self._launched.given(egress)

    @property
    def alive(self) -> bool:
        return not self._exited.is_set()

    def subscribe(self, sink: Sink) -> None:
        self._sink = sink

    def on_death(self, callback: Callable[[str], Awaitable[None]]) -> None:
        self._death = callback

    def pause(self) -> None:
        self._iopub.pause()

    def resume(self) -> None:
        self._iopub.resume()

    async def ready(self) -> None:
        """Returns when the kernel answers and its iopub reaches us."""
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                await self._first_answers()
                if self._launched.ipykernel:
                    await self.run_quietly(IPYKERNEL_WAITS)
        except TimeoutError:
            raise KernelStartFailed(not_up(self._name, f"did not answer within {READY_TIMEOUT_S:.0f} s")) from None

    async def _first_answers(self) -> None:
        exited = asyncio.create_task(self._exited.wait())
        info = self._ask(self._shell, "kernel_info_request", EMPTY)
        try:
            while not (info.done() and self._heard.is_set()):
                heard = asyncio.create_task(self._heard.wait())
                waits = [task for task in (info, heard, exited) if not task.done()]
                done, _ = await asyncio.wait(waits, timeout=ASK_AGAIN_S if info.done() else None, return_when=asyncio.FIRST_COMPLETED)
                heard.cancel()
                if self._exited.is_set():
                    raise KernelStartFailed(not_up(self._name, "ended while it started"))
                if not done:
                    info = self._ask(self._shell, "kernel_info_request", EMPTY)
        finally:
            exited.cancel()
        content = content_of(info.result())
        language = content.get("language_info")
        if isinstance(language, dict):
            self._language = str(language.get("name", self._language))

    async def execute(self, request: Execute) -> str:
        content = {
            "code": request.code,
            "silent": request.silent,
            "store_history": request.store_history,
            "user_expressions": dict(request.user_expressions or {}),
            "allow_stdin": request.allow_stdin,
            "stop_on_error": request.stop_on_error,
        }
        metadata = orjson.dumps({"spin": request.metadata}) if request.metadata else EMPTY
        msg_id, parts = self._wire.request("execute_request", orjson.dumps(content), metadata)
        self._shell.send(parts)
        return msg_id

    async def run_quietly(self, code: str) -> None:
        """Executes code of the runtime's own, whose messages nobody sees."""
        content = orjson.dumps({"code": code, "silent": True, "store_history": False, "user_expressions": {}, "allow_stdin": False})
        await self._reply(self._ask(self._shell, "execute_request", content))

    async def interrupt(self) -> None:
        if self._interrupt_by_message:
            self._ask(self._control, "interrupt_request", EMPTY)
        elif self._launched.manager.provisioner is not None:
            await self._launched.manager.provisioner.send_signal(signal.SIGINT)

    async def hold(self, held: bool) -> None:
        if self._launched.manager.provisioner is not None:
            await self._launched.manager.provisioner.send_signal(signal.SIGSTOP if held else signal.SIGCONT)

    async def input_reply(self, value: str) -> None:
        _, parts = self._wire.request("input_reply", orjson.dumps({"value": value, "status": "ok"}), parent=self._input_parent)
        self._stdin.send(parts)

    async def complete(self, code: str, cursor: int) -> Mapping[str, object]:
        return content_of(await self._read("complete_request", orjson.dumps({"code": code, "cursor_pos": cursor})))

    async def inspect(self, code: str, cursor: int, detail_level: int) -> Mapping[str, object]:
        content = orjson.dumps({"code": code, "cursor_pos": cursor, "detail_level": detail_level})
        return content_of(await self._read("inspect_request", content))

    async def request(self, msg_type: str, content: bytes) -> tuple[str, bytes]:
        reply = await self._read(msg_type, content)
        return reply.msg_type, reply.content

    async def limit_memory(self, limit_bytes: int) -> None:
        if self._launched.local is not None and self.alive:
            await self._launched.local.limit_memory(limit_bytes)

    async def admit(self, socket_path: str) -> str:
        if self._launched.local is None:
            return socket_path
        if self._admitted[0] != socket_path:
            self._admitted = socket_path, await self._launched.local.admit(socket_path)
        return self._admitted[1]

    async def moved_to(self, work: Path) -> bool:
        return await self._launched.moved_to(work)

    async def stop(self) -> None:
        self._stopping = True
        provisioner = self._launched.manager.provisioner
        if self.alive and provisioner is not None:
            self._ask(self._control, "shutdown_request", orjson.dumps({"restart": False}))
            if not await self._exits_within(SHUTDOWN_WAIT_S):
                await self.kill()
        await self._released()

    async def kill(self) -> None:
        """Ends the process group at once."""
        self._stopping = True
        if self._launched.manager.provisioner is not None:
            await self._launched.manager.provisioner.kill()
        await self._exits_within(SHUTDOWN_WAIT_S)

    async def _released(self) -> None:
        self._watch.cancel()
        for channel in (self._iopub, self._shell, self._control, self._stdin):
            channel.close()
        for future in self._pending.values():
            future.cancel()
        await self._launched.stopped()

    async def _exits_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._exited.wait()
        except TimeoutError:
            return False
        return True

    def error_tail(self) -> str:
        return self._launched.error_tail()

    async def _read(self, msg_type: str, content: bytes) -> KernelMessage:
        # ipykernel's control channel has a thread of its own; spin_kernel sees to it that such requests do not take threads' output away from a cell.
        channel = self._control if self._launched.ipykernel else self._shell
        return await self._reply(self._ask(channel, msg_type, content))

    async def _reply(self, answer: "asyncio.Future[KernelMessage]") -> KernelMessage:
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            return await answer

    def _ask(self, channel: Channel, msg_type: str, content: bytes) -> "asyncio.Future[KernelMessage]":
        msg_id, parts = self._wire.request(msg_type, content)
        answer: asyncio.Future[KernelMessage] = asyncio.get_running_loop().create_future()
        self._pending[msg_id] = answer
        self._quiet.add(msg_id)
        answer.add_done_callback(lambda _: self._pending.pop(msg_id, None))
        channel.send(parts)
        return answer

    def _on_iopub(self, group: Sequence[Parts]) -> None:
        self._heard.set()
        read, quiet = self._wire.read, self._quiet
        messages = [message for parts in group if (message := read(parts)) is not None]
        if quiet:
            messages = [message for message in messages if not self._is_quiet(message)]
        if messages and messages[0].msg_type == "iopub_welcome":
            del messages[0]
        if messages and self._sink is not None:
            self._sink(messages)

    def _is_quiet(self, message: KernelMessage) -> bool:
        if message.parent not in self._quiet:
            return False
        if message.msg_type == "status" and content_of(message).get("execution_state") == "idle":
            self._quiet.discard(message.parent)
        return True

    def _on_reply(self, group: Sequence[Parts]) -> None:
        for parts in group:
            message = self._wire.read(parts)
            if message is None:
                continue
            answer = self._pending.get(message.parent)
            if answer is not None:
                if not answer.done():
                    answer.set_result(message)
            elif message.msg_type == "execute_reply" and self._sink is not None:
                self._sink([message])

    def _on_stdin(self, group: Sequence[Parts]) -> None:
        for parts in group:
            message = self._wire.read(parts)
            if message is not None and self._sink is not None:
                self._input_parent = parts[parts.index(DELIMITER) + 2]
                self._sink([message])

    async def _watch_process(self) -> None:
        await self._process_end()
        self._exited.set()
        if self._death is not None and not self._stopping:
            why = await self._launched.local.why() if self._launched.local is not None else ""
            await self._death(f"{why or 'The kernel ended by itself.'} Variables are gone: restart it and run the cells again.")

    async def _process_end(self) -> None:
        if self._launched.local is not None:
            await self._launched.local.ended()
            return
        provisioner = self._launched.manager.provisioner
        while provisioner is not None and await provisioner.poll() is None:  # noqa: ASYNC110 (a provisioner can only be asked)
            await asyncio.sleep(POLL_S)
