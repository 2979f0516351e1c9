"""ListCellTypes and ValidateCell."""

import asyncio
import json

from jsonschema import Draft202012Validator

from spinapis.compiler.v1 import compiler_pb2 as pb
from tests.fakes.installation import refused


async def validate(bench, cell_type: str, source: str = "", fields: str = "", user: str = "editor", **more) -> list[pb.Problem]:
    cell = pb.CellDefinition(cell_type=cell_type, source=source, fields_json=fields)
    request = pb.ValidateCellRequest(workspace_id="ab" * 16, cell=cell, **more)
    return list((await bench.stub.ValidateCell(request, metadata=bench.installation.as_user(user))).problems)


async def test_the_toolbox_comes_in_pages_and_each_form_is_a_schema(bench) -> None:
    found, token = [], ""
    while True:
        request = pb.ListCellTypesRequest(page_size=3, page_token=token)
        answer = await bench.stub.ListCellTypes(request, metadata=bench.installation.as_user("editor"))
        found += answer.cell_types
        token = answer.next_page_token
        if not token:
            break
    assert [cell_type.name for cell_type in found] == ["markdown", "python", "shell", "sql", "rest", "form", "code", "raw", "connection_test"]
    for cell_type in found:
        Draft202012Validator.check_schema(json.loads(cell_type.form_schema_json))
    assert [cell_type.name for cell_type in found if not cell_type.executable] == ["markdown", "raw"]


async def test_problems_carry_line_and_column(bench) -> None:
    (problem,) = await validate(bench, "python", "x = 1\nif x:\n    y = (1,\n        2 3)")
    assert (problem.line, problem.column, problem.severity) == (4, 9, pb.Problem.SEVERITY_ERROR)
    assert await validate(bench, "python", "%matplotlib inline\nx = !ls\nawait x") == []


async def test_a_field_that_does_not_fit_is_named(bench) -> None:
    (problem,) = await validate(bench, "sql", "SELECT 1", '{"row_limit": 0}')
    assert (problem.field, problem.line) == ("row_limit", 0)


async def test_a_connection_that_the_caller_may_not_use_is_a_problem_of_its_field(bench) -> None:
    (problem,) = await validate(bench, "rest", "", '{"url": "/x", "connection": "secret thing"}')
    assert (problem.field, "secret thing" in problem.message) == ("connection", True)
    assert await validate(bench, "rest", "", '{"url": "/x", "connection": "tickets"}') == []


async def test_viewers_validate_and_strangers_do_not(bench) -> None:
    assert await validate(bench, "python", "1", user="viewer") == []
    with refused() as refusal:
        await validate(bench, "python", "1", user="stranger")
    assert refusal.reason == "NOT_FOUND"


async def test_python_needs_a_python_kernel(bench) -> None:
    (problem,) = await validate(bench, "python", "1", kernel_language="R")
    assert "speaks r" in problem.message
    assert await validate(bench, "code", "print(1)", kernel_language="R") == []


async def test_other_calls_are_answered_while_a_large_cell_is_read(bench) -> None:
    order: list[str] = []

    async def validated(name: str, source: str) -> None:
        await validate(bench, "sql", source)
        order.append(name)

    await asyncio.gather(validated("large", "SELECT {{a}};\n" * 8_000), validated("small", "SELECT 1"))
    assert order == ["small", "large"]
