"""A REST cell is one request: without a connection the kernel makes it, with one the broker does, with the connection's credential."""

import ast
from collections.abc import Sequence
from typing import Any

from spin_cells import connections, generate, templates
from spin_cells.api import Cell, Compiled, ConnectionInfo, Context, Problem, Use
from spin_cells.rest import address, body
from spin_cells.rest.form import DEFAULT_TIMEOUT_S
from spin_cells.rest.kind import KIND, OPERATION
from spin_cells.templates import Place
from spin_envelope.digests import params_digest


def refer(cell: Cell) -> Sequence[str]:
    return (cell.fields["connection"],) if "connection" in cell.fields else ()


def check(cell: Cell, context: Context) -> Sequence[Problem]:
    fields = cell.fields
    return [
        *connections.needs_python(context, "REST cells"),
        *connections.problems(refer(cell), context, "connection", KIND.name),
        *templates.problems(cell.source),
        *(
            problem
            for name in ("url", "query", "headers", "json", "body")
            for text in generate.strings(fields.get(name))
            for problem in templates.problems(text, name)
        ),
        *address.problems(fields["url"], "connection" in fields),
        *body.problems(cell),
    ]


def reads(cell: Cell) -> Sequence[Place]:
    in_fields = [
        place
        for name in ("url", "query", "headers", "json", "body")
        for text in generate.strings(cell.fields.get(name))
        for place in templates.places(text, name)
    ]
    return [*templates.places(cell.source), *in_fields]


def build(cell: Cell, context: Context) -> Compiled:
    connection = _connection(cell, context)
    url, quotes = address.expression(cell.fields["url"], context)
    call = _by_broker(cell, context, connection, url) if connection else _by_kernel(cell, context, url)
    variable = cell.fields.get("variable", "")
    shown = [generate.assign(variable, call), generate.shown(generate.name(variable))] if variable else [generate.shown(call)]
    code = generate.program(*([address.import_quote()] if quotes else []), *shown)
    return Compiled(code, _uses(cell, connection), (variable,) if variable else ())


def _connection(cell: Cell, context: Context) -> ConnectionInfo | None:
    found = connections.find(cell.fields["connection"], context, "connection", KIND.name) if "connection" in cell.fields else None
    return found if isinstance(found, ConnectionInfo) else None


def _uses(cell: Cell, connection: ConnectionInfo | None) -> tuple[Use, ...]:
    """The broker's part. A request without templates is granted with exactly its parameters."""
    own: tuple[Use, ...] = ()
    if connection is not None:
        parameters = _parameters(cell)
        fixed = generate.is_fixed(parameters)
        own = (Use(connection.id, (OPERATION,), params_digest(_plain(parameters)) if fixed else b""),)
    return (*own, *generate.environment_uses(templates.environment_names(_texts(cell))))


def _texts(cell: Cell) -> list[str]:
    return generate.strings([_parameters(cell)])


def _parameters(cell: Cell) -> dict[str, Any]:
    """What the broker is asked, with templates where values will be. Absent fields are absent."""
    fields, content = cell.fields, body.of(cell)
    parameters = {
        "method": fields.get("method", "GET"),
        "url": fields["url"].strip(),
        "query": fields.get("query"),
        "headers": {name: _header(value) for name, value in fields.get("headers", {}).items()} or None,
        "json": content.value if content.kind == "json" else None,
        "body": content.value if content.kind == "text" else None,
        "timeout_s": fields.get("timeout_s", DEFAULT_TIMEOUT_S),
    }
    return {name: value for name, value in parameters.items() if value is not None}


def _header(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    """The value that the kernel will send: strings with escaped templates as what they mean."""
    match value:
        case str():
            return "".join(piece.text for piece in templates.pieces(value) if isinstance(piece, templates.Text))
        case dict():
            return {_plain(key): _plain(item) for key, item in value.items()}
        case list():
            return [_plain(item) for item in value]
    return value


def _by_broker(cell: Cell, context: Context, connection: ConnectionInfo, url: ast.expr) -> ast.expr:
    parameters = {name: _expression(name, value, url, context) for name, value in _parameters(cell).items()}
    argument = ast.Dict([ast.Constant(name) for name in parameters], list(parameters.values()))
    call = generate.spin_call("use", ast.Constant(connection.id.hex()), ast.Constant(OPERATION), argument)
    return generate.spin_call("rest.from_result", call)


def _by_kernel(cell: Cell, context: Context, url: ast.expr) -> ast.expr:
    parameters = _parameters(cell)
    names = {"query": "params", "headers": "headers", "json": "json", "body": "body", "timeout_s": "timeout"}
    keywords = {names[name]: _expression(name, value, url, context) for name, value in parameters.items() if name in names}
    return generate.spin_call("rest.request", ast.Constant(parameters["method"]), url, **keywords)


def _expression(name: str, value: Any, url: ast.expr, context: Context) -> ast.expr:
    if name == "url":
        return url
    if name in ("body", "method"):
        return generate.text_of(templates.pieces(value), context)
    if name == "headers":
        return ast.Dict([ast.Constant(key) for key in value], [generate.text_of(templates.pieces(item), context) for item in value.values()])
    return generate.templated(value, context)
