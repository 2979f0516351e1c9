"""One line per event on stderr: JSON, or text for a person's console. No line holds code, outputs, tokens or keys.

- A process that holds secrets gives `redact`: every text passes it twice, before it is put into a line and as it is written. So it also covers
  what libraries log, what the interpreter itself says of an exception that nobody caught, and what is in a form within a form.
- Tracebacks are plain: they never show the values of variables.
"""

import io
import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, TextIO

import structlog

Redact = Callable[[str], str]


class RedactingStream(io.TextIOBase):
    """Stands in the place of a process's stderr."""

    def __init__(self, stream: TextIO, redact: Redact) -> None:
        self._stream, self._redact = stream, redact

    def write(self, text: str, /) -> int:
        self._stream.write(self._redact(text))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True


def configure_logs(log_format: str, level: str = "INFO", redact: Redact | None = None) -> None:
    console = log_format == "console"
    if redact is not None:
        sys.stderr = RedactingStream(sys.stderr, redact)
    plain = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not console:
        shared.append(structlog.processors.format_exc_info)
    if redact is not None:
        shared.append(_redacting(redact))
    structlog.configure(
        processors=[*shared, plain if console else structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries' own warnings, in the same place.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    logging.captureWarnings(capture=True)


def _redacting(redact: Redact) -> Callable[[Any, str, MutableMapping[str, Any]], Mapping[str, Any]]:
    def processor(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        # Of exc_info the renderer makes text itself, which passes the stream.
        return {name: value if name == "exc_info" else _redacted(value, redact) for name, value in event.items()}

    return processor


def _redacted(value: Any, redact: Redact) -> Any:
    match value:
        case str():
            return redact(value)
        case Mapping():
            return {_redacted(name, redact): _redacted(item, redact) for name, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_redacted(item, redact) for item in value]
        case None | bool() | int() | float():
            return value
    # What a renderer would make of it.
    return redact(repr(value))
