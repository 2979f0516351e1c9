"""A SPIN session for Jupyter clients, in a thread with an event loop of its own.

Clients may be blocking or asynchronous, and may live in any loop; so everything that touches the session happens here, and messages cross by
inboxes. Execute requests are compiled and sent one after another, in the order in which they came; other requests beside them, in their order, as
a kernel's shell does.
"""

import asyncio
import logging
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from spin_client.adapters.jupyter_channels import Inbox, Message
from spin_client.adapters.jupyter_translation import Translator, complete_reply, inspect_reply
from spin_client.sdk.errors import SpinError
from spin_client.sdk.events import InputRequest, Kind, Output, RunState
from spin_client.sdk.run import Run
from spin_client.sdk.session import RuntimeSession
from spinapis.workspace.v1 import notebooks_pb2

log = logging.getLogger("spin_client.jupyter")

T = TypeVar("T")

_PASSED_THROUGH = frozenset({"kernel_info_request", "history_request", "is_complete_request", "comm_info_request"})


class LoopThread:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="spin-session", daemon=True)
        self._thread.start()

    def call(self, job: Coroutine[Any, Any, T]) -> T:
        """Runs it there and waits here."""
        return asyncio.run_coroutine_threadsafe(job, self.loop).result()

    async def call_async(self, job: Coroutine[Any, Any, T]) -> T:
        """Runs it there and waits in the caller's loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(job, self.loop))

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        if not self._thread.is_alive():
            self.loop.close()


class KernelHost:
    """Answers Jupyter's messages from a session. Create it in the session's loop."""

    def __init__(self, session: RuntimeSession) -> None:
        self.session = session
        self.shell, self.iopub, self.stdin, self.control = Inbox(), Inbox(), Inbox(), Inbox()
        self._loop = asyncio.get_running_loop()
        self._say = Translator()
        self._to_execute: asyncio.Queue[Message] = asyncio.Queue()
        self._parents: dict[tuple[bytes, int, int], Message] = {}
        self._asking: InputRequest | None = None
        self._jobs: set[asyncio.Task[None]] = set()
        self._to_answer: asyncio.Queue[tuple[str, Message]] = asyncio.Queue()
        self._workers = [asyncio.create_task(self._execute_in_order()), asyncio.create_task(self._answer_in_order())]
        session.watch(self._on_event)

    # -- called from clients' threads

    def send(self, message: Message) -> None:
        self._loop.call_soon_threadsafe(self._receive, message)

    # -- in the session's loop

    async def close(self) -> None:
        jobs = [*self._workers, *self._jobs]
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    def _receive(self, message: Message) -> None:
        kind = message["header"]["msg_type"]
        if kind == "execute_request":
            self._to_execute.put_nowait(message)
        elif kind in ("input_reply", "interrupt_request"):
            # These must overtake what waits.
            self._spawn(self._answer(kind, message))
        else:
            self._to_answer.put_nowait((kind, message))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        job = asyncio.create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def _answer_in_order(self) -> None:
        while True:
            await self._answer(*await self._to_answer.get())

    async def _answer(self, kind: str, message: Message) -> None:
        if kind == "input_reply":
            await self._input_reply(message)
            return
        channel = self.control if kind in ("shutdown_request", "interrupt_request") else self.shell
        self.iopub.put(self._say.status("busy", message))
        try:
            reply = await self._reply(kind, message["content"])
        except SpinError as error:
            failed = {"status": "error", "ename": error.reason, "evalue": error.text, "traceback": []}
            reply = (kind.replace("_request", "_reply"), failed)
        if reply is not None:
            channel.put(self._say.message(*reply, message))
        self.iopub.put(self._say.status("idle", message))

    async def _reply(self, kind: str, content: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
        match kind:
            case "complete_request":
                return "complete_reply", complete_reply(await self.session.complete(content["code"], content["cursor_pos"]))
            case "inspect_request":
                found = await self.session.inspect(content["code"], content["cursor_pos"], content.get("detail_level", 0))
                return "inspect_reply", inspect_reply(found)
            case "interrupt_request":
                await self.session.interrupt()
                return "interrupt_reply", {"status": "ok"}
            case "shutdown_request":
                await (self.session.restart() if content.get("restart") else self.session.stop_kernel())
                return "shutdown_reply", {"status": "ok", "restart": bool(content.get("restart"))}
            case _ if kind in _PASSED_THROUGH:
                return await self.session.kernel_request(kind, content)
        log.warning("a %s cannot be sent to a SPIN kernel and was dropped", kind)
        return None

    async def _input_reply(self, message: Message) -> None:
        asking, self._asking = self._asking, None
        if asking is None:
            return
        try:
            await self.session.reply(asking, str(message["content"].get("value", "")))
        except SpinError as error:
            # Jupyter has no reply to an answer: it is said where the cell writes.
            said = {"name": "stderr", "text": f"{error.text}\n{error.hint}\n"}
            self.iopub.put(self._say.message("stream", said, self._parents.get(asking.run)))

    async def _execute_in_order(self) -> None:
        while True:
            message = await self._to_execute.get()
            try:
                run = await self._start(message)
            except SpinError as error:
                self._put_all(self._say.error_reply(error.reason, error.text, message))
                continue
            self._spawn(self._follow(run, message))

    async def _start(self, message: Message) -> Run:
        content = message["content"]
        cell = notebooks_pb2.Cell(id=str(message["metadata"].get("cellId") or "jupyter"), cell_type="code", source=content["code"])
        return await self.session.start(
            cell,
            silent=bool(content.get("silent", False)),
            store_history=bool(content.get("store_history", True)),
            allow_stdin=bool(content.get("allow_stdin", False)),
            stop_on_error=bool(content.get("stop_on_error", True)),
            user_expressions=content.get("user_expressions") or {},
        )

    async def _follow(self, run: Run, message: Message) -> None:
        self._parents[run.key] = message
        replied = False
        async for event in run:
            match event:
                case Output(kind=Kind.EXECUTE_REPLY):
                    replied = True
                    self.shell.put(self._say.execute_reply(event, message))
                case Output():
                    self._put_iopub(event, message)
                case InputRequest():
                    self._asking = event
                    self.stdin.put(self._say.input_request(event, message))
                case RunState(final=True) if not replied:
                    self._put_all(self._say.unanswered(event, message))
                case _:
                    pass

    def _on_event(self, key: tuple[bytes, int, int] | None, event: object) -> None:
        """What belongs to no run in progress: messages of no request, and those that come after a run's end."""
        if isinstance(event, Output) and (key is None or (event.index == 0 and event.kind is not Kind.EXECUTE_REPLY)):
            self._put_iopub(event, self._parents.get(key) if key is not None else None)

    def _put_iopub(self, output: Output, parent: Message | None) -> None:
        message = self._say.output(output, parent)
        if message is not None:
            self.iopub.put(message)

    def _put_all(self, messages: list[tuple[str, Message]]) -> None:
        for channel, message in messages:
            (self.shell if channel == "shell" else self.iopub).put(message)
