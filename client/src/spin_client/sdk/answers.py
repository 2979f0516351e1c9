"""What people typed at the questions of runs, kept until the runtime has it.

Nothing in the protocol says that an answer came. So each is sent again over every new attachment, until its run goes on after that, or ends, or
the runtime refuses it. What an attachment replays happened before, and so says nothing of the answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from spin_client.sdk.errors import SpinError
from spin_client.sdk.events import InputRequest, RunKey
from spinapis.runtime.v1 import frames_pb2

# A refusal comes at once. Waiting without an end would stop a reader whose run writes more than its queue holds.
REFUSED_WITHIN_S = 5.0


@dataclass
class _Answer:
    run: RunKey
    frame: frames_pb2.ClientFrame
    # Done when the run goes on, or when whoever answered waits no more.
    taken: "asyncio.Future[None]"


class Answers:
    """`send` puts a frame on the socket."""

    def __init__(self, send: Callable[[frames_pb2.ClientFrame], Awaitable[object]]) -> None:
        self._send = send
        self._kept: dict[str, _Answer] = {}
        self._replaying = True

    async def give(self, request: InputRequest, value: str) -> None:
        """Returns when the run goes on, or after a while without a word. Raises the runtime's refusal."""
        frame = frames_pb2.ClientFrame(input_reply=frames_pb2.InputReply(request_id=request.request_id, value=value))
        answer = self._kept[request.request_id] = _Answer(request.run, frame, asyncio.get_running_loop().create_future())
        await self._send(frame)
        with suppress(TimeoutError):
            async with asyncio.timeout(REFUSED_WITHIN_S):
                await answer.taken

    def attached(self, boot_id: bytes) -> None:
        """A new attachment, which replays first. Runs of another boot are over, and their questions' names may come again."""
        self._replaying = True
        self._drop(lambda answer: answer.run[0] != boot_id)

    def unanswered(self) -> list[frames_pb2.ClientFrame]:
        return [answer.frame for answer in self._kept.values()]

    def resent(self) -> None:
        self._replaying = False

    def went_on(self, run: RunKey, *, ended: bool) -> None:
        if ended or not self._replaying:
            self._drop(lambda answer: answer.run == run)

    def refused(self, error: SpinError) -> bool:
        """True when somebody waited for it. It names no question; a session's runs ask one at a time."""
        return error.reason == "INPUT_REFUSED" and self.failed(error)

    def failed(self, error: SpinError) -> bool:
        """As `refused`, whatever the reason: the session is over."""
        waiting = [answer for answer in self._kept.values() if not answer.taken.done()]
        for answer in waiting:
            answer.taken.set_exception(error)
        self._kept.clear()
        return bool(waiting)

    def _drop(self, test: Callable[[_Answer], bool]) -> None:
        for request_id, answer in list(self._kept.items()):
            if test(answer):
                del self._kept[request_id]
                if not answer.taken.done():
                    answer.taken.set_result(None)
