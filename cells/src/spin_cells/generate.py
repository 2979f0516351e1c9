"""Building programs: `ast` nodes in, source out.

- Nothing a person wrote becomes code here: texts become constants, templates become names, and `ast.unparse` writes both.
- Programs call `spin_kernel` under the name `_spin`; its underscore keeps it out of the list of the notebook's variables.
"""

import ast
import math
from collections.abc import Mapping, Sequence
from typing import Any

from spin_cells import exposure
from spin_cells.api import Context, Use
from spin_cells.templates import Piece, Template, has_template, pieces
from spin_envelope.digests import params_digest

SPIN = "_spin"
RUNTIME_ENV = "runtime_env.get"


def program(*statements: ast.stmt) -> str:
    """The source of a program that has `_spin` at hand."""
    return source_of(ast.Import([ast.alias("spin_kernel", SPIN)]), *statements)


def source_of(*statements: ast.stmt) -> str:
    return ast.unparse(ast.fix_missing_locations(ast.Module(list(statements), []))) + "\n"


def name(identifier: str) -> ast.Name:
    return ast.Name(identifier, ast.Load())


def assign(variable: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(variable, ast.Store())], value)


def shown(value: ast.expr) -> ast.stmt:
    """A last expression: the kernel displays its value."""
    return ast.Expr(value)


def spin_call(path: str, *positional: ast.expr, **keywords: ast.expr) -> ast.Call:
    """`_spin.<path>(…)`."""
    function: ast.expr = name(SPIN)
    for part in path.split("."):
        function = ast.Attribute(function, part, ast.Load())
    return ast.Call(function, list(positional), [ast.keyword(key, value) for key, value in keywords.items()])


def constant(value: Any) -> ast.expr:
    """A JSON value as a literal. Raises ValueError for what JSON cannot hold."""
    match value:
        case float() if not math.isfinite(value):
            raise ValueError("not a finite number")
        case None | bool() | int() | float() | str():
            return ast.Constant(value)
        case Mapping():
            return ast.Dict([constant(str(key)) for key in value], [constant(item) for item in value.values()])
        case list() | tuple():
            return ast.List([constant(item) for item in value], ast.Load())
    raise ValueError(f"not a JSON value: {type(value).__name__}")


def templated(value: Any, context: Context) -> ast.expr:
    """A JSON value whose strings may hold templates: `"{{n}}"` alone is the variable's own value, among text it is its text."""
    match value:
        case str():
            found = pieces(value)
            return value_of(found[0], context) if len(found) == 1 and isinstance(found[0], Template) else text_of(found, context)
        case Mapping():
            return ast.Dict([text_of(pieces(str(key)), context) for key in value], [templated(item, context) for item in value.values()])
        case list() | tuple():
            return ast.List([templated(item, context) for item in value], ast.Load())
    return constant(value)


def value_of(template: Template, context: Context) -> ast.expr:
    """The variable, or the call that asks the broker for a secret or for the runtime's environment variable."""
    match template.kind:
        case "runtime_env":
            return spin_call("runtime_env", ast.Constant(template.name))
        case "secret":
            return spin_call("secret", ast.Constant(context.secrets[template.name].id.hex()))
        case "secret_var":
            ids = {secret.name: secret.id.hex() for secret in exposure.eligible(context).values()}
            return spin_call("secret_named", name(template.name), constant(ids))
    return name(template.name)


def text_of(found: Sequence[Piece], context: Context) -> ast.expr:
    """The pieces as one text."""
    return joined([value_of(piece, context) if isinstance(piece, Template) else piece.text for piece in found])


def joined(parts: Sequence[str | ast.expr]) -> ast.expr:
    """Texts and values as one text: a constant's `format`, because f-strings cannot hold every constant before Python 3.12."""
    if all(isinstance(part, str) for part in parts):
        return ast.Constant("".join(part for part in parts if isinstance(part, str)))
    form = "".join(part.replace("{", "{{").replace("}", "}}") if isinstance(part, str) else "{!s}" for part in parts)
    values = [part for part in parts if not isinstance(part, str)]
    return ast.Call(ast.Attribute(ast.Constant(form), "format", ast.Load()), values, [])


def strings(value: Any) -> list[str]:
    """All strings of a JSON value, keys included."""
    match value:
        case str():
            return [value]
        case Mapping():
            return [text for pair in value.items() for item in pair for text in strings(item)]
        case list() | tuple():
            return [text for item in value for text in strings(item)]
    return []


def is_fixed(value: Any) -> bool:
    """True when no string of a JSON value holds a template."""
    return not any(has_template(pieces(text)) for text in strings(value))


def environment_uses(names: Sequence[str]) -> tuple[Use, ...]:
    """What a program needs to read these variables of the runtime's environment: each alone, by the digest of its parameters."""
    return tuple(Use(b"", (RUNTIME_ENV,), params_digest({"name": variable})) for variable in names)
