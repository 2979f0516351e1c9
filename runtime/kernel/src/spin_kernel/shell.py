"""Running a program: an argument list, never a command line; what it prints appears while it runs.

- The program leads a process group. When it takes too long, or the cell is interrupted, the whole group is ended: asked first, then forced.
- The result keeps the first part of what was printed; what was printed further is still shown.
- A value that a shell may evaluate is checked first (`number`, `guarded`).
- Values for the program travel in its environment, beside what it inherits from the kernel.
- A background process that keeps the output open does not keep the cell: output ends with the program itself.
"""

import codecs
import contextlib
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TextIO, cast

KEPT = 16 * 1024 * 1024
CHUNK = 64 * 1024
END_GRACE_S = 2.0
# How long to wait for the last output of a program that has exited while another one holds its pipe.
DRAIN_S = 0.2
# What begins a command in arithmetic, also when `read` has taken a backslash out, or another text follows.
_RUNS = re.compile(r"`|\$[\s\\'\"]*([({]|\Z)")
_NUMBER = re.compile(r"[+-]?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,4})?")


@dataclass(frozen=True)
class ShellResult:
    """`stdout` is cut at 16 MiB; `truncated` says so."""

    exit_status: int
    stdout: str
    truncated: bool = False


class ShellFailed(Exception):
    """The program ended with an exit status other than 0, took too long, or could not be started."""

    def __init__(self, text: str, exit_status: int, stdout: str = "") -> None:
        super().__init__(text)
        self.exit_status, self.stdout = exit_status, stdout


def number(value: object, template: str, lost_at: int = 0) -> str:
    """The value's text, where a script may have nothing but a plain number. Raises ValueError, which does not repeat the value.

    `lost_at` is the line of what a script that could not be followed opens and does not close.
    """
    text = str(value).strip()
    if _NUMBER.fullmatch(text):
        return text
    if lost_at:
        raise ValueError(
            f"{template} stands in a script that could not be followed: what is opened on line {lost_at} is not closed. Its value could stand where "
            f"the shell runs it as code, so it must be a plain number. Close what line {lost_at} opens, or write that part in a simpler way."
        )
    raise ValueError(
        f"{template} stands where the shell evaluates it, as arithmetic does, and could run as code there: its value must be a plain number. "
        "Make it one, as with int(), or use the value as a command's argument."
    )


def guarded(value: object, template: str) -> str:
    """The value's text, in a script that evaluates something. Raises ValueError for what could run there, which does not repeat the value."""
    text = str(value)
    if _RUNS.search(text):
        raise ValueError(
            f"{template} holds a backquote, or a $ before a bracket or at its end, and the script evaluates variables somewhere ([[ ]], (( )), let, "
            "declare, a subscript or the like), where that could run as code. Take these characters out, or use the value in a shell cell of its own."
        )
    return text


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    timeout: float | None = None,
    check: bool = True,
) -> ShellResult:
    """Runs a program and shows what it prints; `env` is added to the inherited environment.

    Raises ShellFailed: always when it takes too long, for its exit status with `check`.
    """
    if isinstance(argv, str) or not argv:
        raise TypeError("argv must be a list of at least one text: a program and its arguments")
    process = _started([str(argument) for argument in argv], env or {}, cwd)
    reading = _Reading(process)
    try:
        in_time = reading.until_exit(None if timeout is None else time.monotonic() + timeout)
    finally:
        # Also when the cell is interrupted, wherever that hits.
        if process.poll() is None:
            _end_group(process)
        reading.close()
    if not in_time:
        raise ShellFailed(f"{Path(argv[0]).name} took longer than {timeout:g} s and was stopped", process.returncode, reading.kept())
    result = ShellResult(process.returncode, reading.kept(), reading.truncated)
    if check and result.exit_status:
        raise ShellFailed(_ended_badly(Path(argv[0]).name, result.exit_status), result.exit_status, result.stdout)
    return result


def _started(argv: Sequence[str], env: Mapping[str, str], cwd: str | os.PathLike[str] | None) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **{name: str(value) for name, value in env.items()}}
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    try:
        return subprocess.Popen(argv, env=environment, cwd=cwd, stdin=nothing, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True)
    except (OSError, ValueError) as error:
        raise ShellFailed(f"{argv[0]} could not be started: {error}", 127 if isinstance(error, FileNotFoundError) else 126) from None


def _ended_badly(name: str, status: int) -> str:
    if status >= 0:
        return f"{name} ended with exit status {status}"
    return f"{name} was ended by signal {-status} ({signal.strsignal(-status)})"


class _Reading:
    """Carries the program's output to the cell, as it comes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process, self._selector = process, selectors.DefaultSelector()
        self._parts: list[str] = []
        self._size, self.truncated = 0, False
        for pipe, stream in ((process.stdout, "stdout"), (process.stderr, "stderr")):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, selectors.EVENT_READ, (stream, codecs.getincrementaldecoder("utf-8")("replace")))

    def until_exit(self, deadline_s: float | None) -> bool:
        """False when the deadline came first."""
        while self._selector.get_map():
            exited = self._process.poll() is not None
            left_s = 1.0 if deadline_s is None else deadline_s - time.monotonic()
            if left_s <= 0 and not exited:
                return False
            # The pipe of a program that has exited may be held by a process that it left behind: then only what is there is taken.
            ready = self._selector.select(DRAIN_S if exited else min(left_s, DRAIN_S))
            if exited and not ready:
                break
            for key, _ in ready:
                self._take(cast("IO[bytes]", key.fileobj), *key.data)
        return self._wait(deadline_s)

    def _wait(self, deadline_s: float | None) -> bool:
        try:
            self._process.wait(None if deadline_s is None else max(0.0, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True

    def _take(self, pipe: IO[bytes], stream: str, decoder: codecs.IncrementalDecoder) -> None:
        try:
            data = os.read(pipe.fileno(), CHUNK)
        except BlockingIOError:
            return
        text = decoder.decode(data, final=not data)
        if not data:
            self._selector.unregister(pipe)
        if text:
            cast("TextIO", getattr(sys, stream)).write(text)
            if stream == "stdout":
                self._keep(text)

    def _keep(self, text: str) -> None:
        room = KEPT - self._size
        self._parts.append(text[:room])
        self._size += min(len(text), room)
        self.truncated = self.truncated or len(text) > room

    def kept(self) -> str:
        return "".join(self._parts)

    def close(self) -> None:
        self._selector.close()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


def _end_group(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(END_GRACE_S)
        except subprocess.TimeoutExpired:
            continue
        break
    # Its children may have outlived it.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
