"""nbformat's schema, for what comes in: notebooks as a whole, and the parts that our messages carry as JSON.

- JSON is read strictly: no NaN, no name twice. Texts that databases or UTF-8 cannot hold are refused.
- Faults say where: `cells[3].outputs[0].name`.
"""

import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

import nbformat
from jsonschema import Draft4Validator

MAJOR, MINOR = 4, 5


class NotAllowed(Exception):
    """What is wrong with a text or a value, and where in it."""

    def __init__(self, where: str, text: str) -> None:
        super().__init__(f"{where}: {text}" if where else text)
        self.where, self.text = where, text


def read(text: str | bytes) -> Any:
    """Raises NotAllowed with line and column."""
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise NotAllowed("", f"not UTF-8 text: byte {error.start}") from None
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise NotAllowed(f"line {error.lineno}, column {error.colno}", f"not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise NotAllowed("", f"not JSON: {error}") from None


def written(value: Any) -> str:
    """Compact JSON; escapes alone for what UTF-8 cannot carry (lone surrogates)."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text if _is_utf8(text) else json.dumps(value, separators=(",", ":"), allow_nan=False)


def check_text(text: str, where: str) -> None:
    if "\0" in text:
        raise NotAllowed(where, "a null character")
    if not _is_utf8(text):
        raise NotAllowed(where, "half a surrogate pair")


def check_notebook(notebook: Any) -> None:
    """A notebook of nbformat 4.5. Raises NotAllowed at its first fault, in the order of the file."""
    _check(_validator("#"), notebook, "")


def check_outputs(outputs: Any) -> None:
    if not isinstance(outputs, list):
        raise NotAllowed("", "not a JSON array")
    for index, output in enumerate(outputs):
        _check(_validator("#/definitions/output"), output, f"[{index}]")


def check_attachments(attachments: Any) -> None:
    _check(_validator("#/definitions/misc/attachments"), attachments, "")


@cache
def _validator(reference: str) -> Draft4Validator:
    schema = json.loads(files("nbformat.v4").joinpath(nbformat.v4.nbformat_schema[MAJOR, MINOR]).read_text())
    return Draft4Validator(schema if reference == "#" else {"$ref": reference, "definitions": schema["definitions"]})


def _check(validator: Draft4Validator, value: Any, prefix: str) -> None:
    for error in validator.iter_errors(value):
        deepest = _deepest(error)
        kind = next((name for name in ("cell_type", "output_type") if list(deepest.path)[-1:] == [name]), "")
        text = f"{deepest.instance!r} is no {kind} of nbformat" if kind else deepest.message
        raise NotAllowed(prefix + _path(deepest.absolute_path), _sentence(text))


def _deepest(error: Any) -> Any:
    """Of the alternatives of a oneOf, the one that went farthest: an output of a known type fails in its own schema last."""
    while error.context:
        error = max(error.context, key=lambda inner: (_is_not_type(inner), len(inner.absolute_path)))
    return error


def _is_not_type(error: Any) -> bool:
    """A fault other than being of another cell or output type, which is true of every alternative that was not meant."""
    branch = error.schema_path[0] if error.schema_path else None
    kinds = [other for other in error.parent.context if other.schema_path and other.schema_path[0] == branch] if error.parent else []
    return not any(list(other.path)[-1:] in (["cell_type"], ["output_type"]) for other in kinds)


def _path(parts: Iterable[str | int]) -> str:
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _sentence(message: str) -> str:
    return message if len(message) <= 200 else message[:197] + "…"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name occurs twice in an object")
    return members


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
