"""Cells as people write them, and what a kernel asks of a connection."""

import json
from collections.abc import Mapping
from functools import cache

from spin_cells import templates
from spin_cells.api import CellInvalid, CellType, ConnectionInfo, Context, Credential, OperationFailed
from spin_cells.registry import installed
from spin_cells.rest.request import redirected, request
from spin_envelope.digests import canonical_json, read_json
from spin_envelope.errors import Refused
from spin_envelope.parsing import parse
from spin_services.compiler import wire
from spin_services.compiler.compilation import executable
from spin_services.rpc.errors import ServiceError
from spinapis.compiler.v1.compiler_pb2 import CellDefinition, CompileCellRequest
from tests.fuzz.documents import wire as encoded
from tests.fuzz.target import Target, text_of

CONNECTION = ConnectionInfo(b"c" * 16, "api", "rest", frozenset({"rest.request"}))
CONTEXT = Context("python", {"api": CONNECTION}, {"user": "u", "cell": "c"})
LISTED = Credential(b"c" * 16, "api", "rest", {"base_url": "https://api.example.org/v1"}, {"token": "t" * 20})
CELLS = (
    ("python", "x = {{a}}\n%%time\nprint(x)", {}),
    ("shell", "echo '{{a}}' \"$HOME\" <<EOF\n{{b}}\nEOF", {}),
    ("shell", "", {"shell": "bash"}),
    ("sql", "select * from t where a = {{a}} -- {{b}}", {}),
    ("rest", '{"a": {{b}}, "c": "{{d}}"}', {"method": "POST", "url": "https://a.example/{{b}}"}),
    ("rest", "", {"connection": "api", "url": "/x", "query": {"a": ["{{b}}", 1]}, "headers": {"x-a": "b"}}),
    ("rest", "9" * 4400, {"url": "https://a.example"}),
    ("rest", "[" * 2000, {"url": "https://a.example"}),
    ("form", "", {"inputs": [{"name": "a", "type": "select", "options": ["x", 1]}, {"name": "b"}], "values": {"a": 1}}),
    ("code", "1 + {{a}}", {}),
    ("markdown", "# a", {}),
    ("raw", "a", {}),
)


@cache
def types() -> Mapping[str, CellType]:
    return installed()


def definition(data: bytes) -> None:
    """A definition as the compiler gets it, through its type's checks and its compile half."""
    cell = wire.cell_of(parse(data, CellDefinition))
    cell_type = executable(types(), cell)
    cell_type.references(cell)
    problems = cell_type.validate(cell, CONTEXT)
    for problem in problems:
        wire.problem_to(problem)
    try:
        compiled = cell_type.compile(cell, CONTEXT)
    except CellInvalid as error:
        raise wire.cell_invalid(error) from None
    wire.uses_to(compiled.uses)


def compile_request(data: bytes) -> None:
    request = parse(data, CompileCellRequest)
    wire.language_of(request.kernel_language)
    wire.check_ids(request)


def template(data: bytes) -> None:
    text = text_of(data)
    pieces = templates.pieces(text)
    assert "".join(text[piece.start : piece.end] for piece in pieces) == text
    templates.problems(text)
    templates.environment_names([text])


def rest_request(data: bytes) -> None:
    """Parameters as the broker hands them on: canonical JSON. The last line is a redirect's location."""
    params, _, location = data.partition(b"\n")
    read = read_json(params)
    canonical_json(read)
    if isinstance(read, dict):
        redirected(request(read, LISTED), 302, location.decode("latin-1"), LISTED)


def _definitions() -> list[bytes]:
    return [encoded(CellDefinition(cell_type=kind, source=source, fields_json=json.dumps(fields))) for kind, source, fields in CELLS]


def _rest_seeds() -> list[bytes]:
    params = (
        {"url": "/a", "query": {"b": [1, True, None]}, "headers": {"X-A": "b"}, "timeout_s": 3},
        {"method": "POST", "url": "https://api.example.org/x", "json": {"a": 1}},
        {"method": "POST", "url": "https://api.example.org:444/x", "body": "text"},
        {"url": "https://[::1]/x"},
    )
    return [json.dumps(one).encode() + location for one in params for location in (b"", b"\n//other.example/", b"\n/b?c=d")]


def _request_seed() -> bytes:
    return encoded(CompileCellRequest(session_id="a" * 32, notebook_id="b" * 32, cell_id="c-1", kernel_language="python"))


TEMPLATES = ("{{a}} \\{{b}} {{ c }} {{.d}}", "{{runtime_env:HOME}}{{secret:x}}", "{{runtime_env: }}{{if}}", "{{" * 50 + "a" + "}}" * 50)
TARGETS = (
    Target("cells.definition", definition, (ServiceError, Refused), _definitions),
    Target("cells.compile_request", compile_request, (ServiceError, Refused), lambda: [_request_seed()]),
    Target("cells.template", template, (), lambda: [text.encode() for text in TEMPLATES]),
    Target("cells.rest_request", rest_request, (OperationFailed, Refused), _rest_seeds),
)
