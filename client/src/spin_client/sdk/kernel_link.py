"""Requests to a session's kernel and the answers to them, beside the runs.

Each request has a number; its answer, or an error of that number, ends the wait. Requests only read, so they are sent again after
a new attachment. Waiting for a kernel's phase ends with the phase, or with the error that the runtime gives instead.
"""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from spin_client.sdk.errors import SpinError, from_frame
from spin_client.sdk.events import object_of
from spinapis.runtime.v1 import frames_pb2

ANSWER_S = 30.0
KERNEL_START_S = 120.0

READY = (frames_pb2.KERNEL_PHASE_IDLE, frames_pb2.KERNEL_PHASE_BUSY)
_KERNEL_FAULTS = ("KERNEL_UNKNOWN", "KERNEL_FAILED", "SCOPE_MISSING", "POLICY_REFUSED", "TRUST_EXPIRED")


@dataclass
class _Pending:
    frame: frames_pb2.ClientFrame
    answer: "asyncio.Future[Any]"


class Requests:
    """Numbered requests; `send` puts a frame on the socket."""

    def __init__(self, send: Callable[[frames_pb2.ClientFrame], Awaitable[object]]) -> None:
        self._send = send
        self._numbers = itertools.count(1)
        self._pending: dict[int, _Pending] = {}

    async def complete(self, code: str, cursor: int) -> frames_pb2.CompleteReply:
        number = next(self._numbers)
        return await self._ask(number, frames_pb2.ClientFrame(complete=frames_pb2.Complete(request_id=number, code=code, cursor=cursor)))  # type: ignore[no-any-return]

    async def inspect(self, code: str, cursor: int, detail_level: int) -> frames_pb2.InspectReply:
        number = next(self._numbers)
        request = frames_pb2.Inspect(request_id=number, code=code, cursor=cursor, detail_level=detail_level)
        return await self._ask(number, frames_pb2.ClientFrame(inspect=request))  # type: ignore[no-any-return]

    async def kernel_request(self, msg_type: str, content: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        number = next(self._numbers)
        request = frames_pb2.KernelRequest(request_id=number, msg_type=msg_type, content_json=json.dumps(content).encode())
        reply: frames_pb2.KernelReply = await self._ask(number, frames_pb2.ClientFrame(kernel_request=request))
        return reply.msg_type, object_of(reply.content_json)

    def answered(self, number: int, reply: object) -> None:
        pending = self._pending.get(number)
        if pending and not pending.answer.done():
            pending.answer.set_result(reply)

    def refused(self, error: frames_pb2.Error) -> bool:
        """True when the error answers one of these requests."""
        pending = self._pending.get(error.request_id) if error.request_id else None
        if pending and not pending.answer.done():
            pending.answer.set_exception(from_frame(error))
        return pending is not None

    def unanswered(self) -> list[frames_pb2.ClientFrame]:
        return [pending.frame for pending in self._pending.values() if not pending.answer.done()]

    async def _ask(self, number: int, frame: frames_pb2.ClientFrame) -> Any:
        pending = self._pending[number] = _Pending(frame, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._send(frame)
                return await pending.answer
        except TimeoutError:
            raise SpinError("KERNEL_FAILED", f"the kernel did not answer within {ANSWER_S:.0f} s: it may be busy with a cell") from None
        finally:
            del self._pending[number]


@dataclass
class _Wanted:
    test: Callable[[frames_pb2.KernelState], bool]
    frame: frames_pb2.ClientFrame
    reached: "asyncio.Future[frames_pb2.KernelState]"


class KernelWatch:
    """The kernel's newest state, and those who wait for another."""

    def __init__(self) -> None:
        self.state = frames_pb2.KernelState()
        self._wanted: list[_Wanted] = []

    @property
    def ready(self) -> bool:
        return self.state.phase in READY

    def changed(self, state: frames_pb2.KernelState) -> None:
        self.state = state
        for wanted in self._wanted:
            if not wanted.reached.done() and wanted.test(state):
                wanted.reached.set_result(state)

    def failed(self, error: SpinError) -> bool:
        """True when someone waited for the kernel and now knows why it does not come."""
        return error.reason in _KERNEL_FAULTS and self.ended(error)

    def ended(self, error: SpinError) -> bool:
        """The session is over: as `failed`, whatever the reason."""
        waiting = [wanted for wanted in self._wanted if not wanted.reached.done()]
        for wanted in waiting:
            wanted.reached.set_exception(error)
        return bool(waiting)

    def unanswered(self) -> list[frames_pb2.ClientFrame]:
        return [wanted.frame for wanted in self._wanted if not wanted.reached.done()]

    async def wait(
        self,
        test: Callable[[frames_pb2.KernelState], bool],
        frame: frames_pb2.ClientFrame,
        send: Callable[[frames_pb2.ClientFrame], Awaitable[object]],
    ) -> frames_pb2.KernelState:
        """Sends the frame and waits for a state that passes the test."""
        wanted = _Wanted(test, frame, asyncio.get_running_loop().create_future())
        self._wanted.append(wanted)
        try:
            async with asyncio.timeout(KERNEL_START_S):
                await send(frame)
                return await wanted.reached
        except TimeoutError:
            raise SpinError("KERNEL_FAILED", f"the kernel was not ready within {KERNEL_START_S:.0f} s") from None
        finally:
            self._wanted.remove(wanted)
