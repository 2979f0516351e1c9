"""A URL from text with templates: each value is one encoded part and cannot change which host is called.

A template at the very start is a base address and stands as it is: `{{base}}/users/{{id}}`. Every other value is percent-encoded, slashes included.
"""

import ast
import re
from urllib.parse import urlsplit

from spin_cells import generate
from spin_cells.api import Context, Problem
from spin_cells.templates import Piece, Template, pieces

QUOTE = "_spin_quote"
_HOST_VALUE = "value"


def import_quote() -> ast.stmt:
    return ast.ImportFrom("urllib.parse", [ast.alias("quote", QUOTE)], 0)


def expression(url: str, context: Context) -> tuple[ast.expr, bool]:
    """The URL as an expression, and whether it calls `quote`."""
    found = pieces(url.strip())
    parts: list[str | ast.expr] = [_part(piece, context, first=index == 0) for index, piece in enumerate(found)]
    quotes = any(isinstance(piece, Template) for piece in found[1:])
    return generate.joined(parts), quotes


def problems(url: str, with_connection: bool) -> list[Problem]:
    """What is wrong with a URL before its values are known."""
    found = pieces(url.strip())
    if not found or isinstance(found[0], Template):
        return []
    shape = "".join(_HOST_VALUE if isinstance(piece, Template) else piece.text for piece in found)
    if re.search(r"[\s\x00-\x1f]", shape):
        return [Problem("A URL holds no spaces; %20 stands for one", field="url")]
    return _shape_problems(shape, with_connection)


def _shape_problems(shape: str, with_connection: bool) -> list[Problem]:
    try:
        parts = urlsplit(shape)
        port = parts.port if "{" not in shape and not parts.netloc.endswith(f":{_HOST_VALUE}") else None
    except ValueError as error:
        return [Problem(f"Not a URL: {error}", field="url")]
    if port == 0:
        return [Problem("Not a URL: port 0", field="url")]
    if not parts.scheme and not parts.netloc:
        return [] if with_connection else [Problem("Write the whole URL, with http:// or https://, or choose a connection", field="url")]
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return [Problem("A URL starts with http:// or https://", field="url")]
    if "@" in parts.netloc:
        return [Problem("Credentials do not belong in a URL: choose a connection that holds them", field="url")]
    return []


def _part(piece: Piece, context: Context, first: bool) -> str | ast.expr:
    if not isinstance(piece, Template):
        return piece.text
    value = generate.value_of(piece, context)
    if first:
        return value
    return ast.Call(generate.name(QUOTE), [generate.joined([value])], [ast.keyword("safe", ast.Constant(""))])
