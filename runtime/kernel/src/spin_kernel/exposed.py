"""Secrets whose values cells of this kernel have read, taken out of what it shows: a help beside the boundary, never instead of it.

- Until the first one is read nothing is searched, and nothing costs. From then on each message that the kernel sends is: printed text, results,
  errors, displays, replies.
- What a display holds in bytes (an image, a buffer) is not searched, nor what code writes in a form of its own.
"""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from spin_kernel.request import interactive_shell

if TYPE_CHECKING:
    from spin_kernel.redaction import Finder, Redactor

# Before these a cell's printed text is complete, as far as it goes.
_ENDS_TEXT = frozenset({"display_data", "update_display_data", "execute_result", "error", "clear_output", "input_request"})


class Exposed:
    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        # Looks for the values as they stand in the JSON of a message.
        self._finder: Finder | None = None
        # The text of a stream that has just been searched.
        self.searched = ""
        # None while there is nothing to look for.
        self.redactor: Redactor | None = None
        # Called with a request's id before something else than text of it is sent.
        self.on_end: list[Callable[[str], object]] = []

    def add(self, name: str, value: str) -> None:
        """From now on a mark with the name stands where the value stood."""
        if value in self._names:
            return
        from spin_kernel.redaction import Finder, Redactor, forms

        first = not self._names
        self._names[value] = name
        values = {str(at): known for at, known in enumerate(self._names)}
        names = {str(at): known for at, known in enumerate(self._names.values())}
        self._finder = Finder(list({json.dumps(form, ensure_ascii=False)[1:-1] for known in self._names for form in forms(known)}))
        self.redactor, self.searched = Redactor(values, lambda at, _: f"[redacted {names[at]}]"), ""
        kernel = getattr(interactive_shell(), "kernel", None)
        if first and kernel is not None:
            self._watch(kernel.session)

    def _watch(self, session: Any) -> None:
        serialize = session.serialize

        def serialize_shown(message: dict[str, Any], *arguments: Any, **options: Any) -> Any:
            return serialize(self.shown(message), *arguments, **options)

        session.serialize = serialize_shown

    def shown(self, message: dict[str, Any]) -> dict[str, Any]:
        kind, content = message["header"]["msg_type"], message["content"]
        if kind in _ENDS_TEXT or (kind == "status" and content.get("execution_state") == "idle"):
            for end in self.on_end:
                end(message["parent_header"].get("msg_id", ""))
        if kind == "stream" and content.get("text") is self.searched:
            return message
        return {**message, "content": self._value(content)} if self._may_hold(content) else message

    def _may_hold(self, content: Any) -> bool:
        """One search of the whole is many times quicker than one of each text in a table."""
        try:
            written = json.dumps(content, ensure_ascii=False)
        except (TypeError, ValueError, RecursionError):
            return True
        return self._finder is None or self._finder.finds(written)

    def _value(self, value: Any) -> Any:
        match value:
            case str():
                return self.redactor.text(value) if self.redactor is not None else value
            case Mapping():
                return {self._value(key): self._value(item) for key, item in value.items()}
            case list() | tuple():
                return [self._value(item) for item in value]
        return value


EXPOSED = Exposed()
