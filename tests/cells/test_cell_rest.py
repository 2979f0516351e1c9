"""REST cells: what is asked of the kernel or of the broker, whatever the values are."""

import json
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spin_envelope.digests import params_digest
from tests.cells.conftest import TICKETS
from tests.fakes.kernel_calls import run

LOOSE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
VALUES = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda c: st.lists(c) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), c),
    max_leaves=8,
)


def call(bench, source: str = "", variables: dict | None = None, environment: dict | None = None, **fields):
    kernel, _ = run(bench.compile(source, **fields).code, variables or {}, environment)
    (found,) = kernel.calls
    return found


def test_without_a_connection_the_kernel_asks(bench) -> None:
    name, positional, keywords = call(bench, url="https://api.example.com/x", query={"a": 1, "b": ["x", True]}, headers={"X-Trace": 5}, timeout_s=2)
    assert (name, positional) == ("rest.request", ("GET", "https://api.example.com/x"))
    assert keywords == {"params": {"a": 1, "b": ["x", True]}, "headers": {"X-Trace": "5"}, "timeout": 2}


def test_with_a_connection_the_broker_asks_and_exactly_this(bench) -> None:
    fields = {"url": "/search", "connection": "tickets", "method": "POST", "json": {"q": "x"}, "variable": "answer"}
    compiled = bench.compile(**fields)
    kernel, variables = run(compiled.code)
    ((name, (connection_id, operation, params), _),) = kernel.calls
    assert (name, connection_id, operation) == ("use", TICKETS.id.hex(), "rest.request")
    assert params == {"method": "POST", "url": "/search", "json": {"q": "x"}, "timeout_s": 30}
    assert compiled.uses[0].params_digest == params_digest(params)
    assert (variables["answer"].value, compiled.outputs_to) == ({"status": 200}, ("answer",))
    assert "_spin.rest.from_result(_spin.use(" in compiled.code


@given(
    body=JSON.filter(lambda value: value is not None), query=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers(-9, 9))
)
@LOOSE
def test_a_request_without_templates_is_granted_with_the_digest_of_what_is_sent(bench, body, query) -> None:
    compiled = bench.compile(url="/x", connection="tickets", json=body, query=query)
    kernel, _ = run(compiled.code)
    params = kernel.calls[0][1][2]
    if compiled.uses[0].params_digest:
        assert compiled.uses[0].params_digest == params_digest(params)
        assert (params["json"], params["query"]) == (body, query)


def test_escaped_templates_are_granted_as_what_they_mean(bench) -> None:
    compiled = bench.compile(url="/x", connection="tickets", json={"\\{{a}}": "\\{{b}} c"})
    kernel, _ = run(compiled.code)
    params = kernel.calls[0][1][2]
    assert params["json"] == {"{{a}}": "{{b}} c"}
    assert compiled.uses[0].params_digest == params_digest(params)


@given(value=VALUES)
@LOOSE
def test_a_value_is_one_part_of_a_url(bench, value: str) -> None:
    _, (_, url), _ = call(bench, url="https://h.example/a/{{v}}/b?q={{v}}#f", variables={"v": value})
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "h.example", "f")
    assert parts.path.split("/")[1:] == ["a", parts.path.split("/")[2], "b"]
    assert unquote(parts.path.split("/")[2]) == value
    assert parts.query.count("&") == 0


@given(value=VALUES)
@LOOSE
def test_a_value_cannot_change_the_host(bench, value: str) -> None:
    _, (_, url), _ = call(bench, url="http://127.0.0.1:{{port}}/x", variables={"port": value})
    assert url.startswith("http://127.0.0.1:")
    assert "/" not in url[len("http://127.0.0.1:") : -2]
    assert "@" not in url


def test_an_address_may_come_first(bench) -> None:
    _, (_, url), _ = call(bench, url="{{base}}/x/{{id}}", variables={"base": "http://localhost:8080/api", "id": "a/b"})
    assert url == "http://localhost:8080/api/x/a%2Fb"


@given(value=JSON, text=VALUES)
@LOOSE
def test_values_in_json_are_values_and_add_no_members(bench, value, text: str) -> None:
    source = '{"n": {{value}}, "s": "a {{text}} b", "l": ["{{value}}", {{runtime_env:E}}], "q": "\\"{{text}}\\""}'
    _, _, keywords = call(bench, source, {"value": value, "text": text}, {"E": text}, url="http://h")
    assert keywords["json"] == {"n": value, "s": f"a {text} b", "l": [value, text], "q": f'"{text}"'}


@given(text=VALUES)
@LOOSE
def test_text_bodies_headers_and_queries_take_values(bench, text: str) -> None:
    fields = {"url": "http://h", "headers": {"X-A": "v {{t}}"}, "query": {"q{{t}}": ["{{t}}", 1]}}
    _, _, keywords = call(bench, "plain {{t}}", {"t": text}, **fields)
    assert (keywords["body"], keywords["headers"], keywords["params"]) == (f"plain {text}", {"X-A": f"v {text}"}, {f"q{text}": [text, 1]})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, ""),
        ({"url": "ftp://h"}, "url"),
        ({"url": "/path"}, "url"),
        ({"url": "http://user:pw@h/"}, "url"),
        ({"url": "http://h/a b"}, "url"),
        ({"url": "http://h:99999/"}, "url"),
        ({"url": "http://h", "json": {}, "body": "x"}, "json"),
        ({"url": "http://h", "headers": {"a b": "c"}}, "headers"),
        ({"url": "http://h", "method": "TRACE"}, "method"),
        ({"url": "http://h", "connection": "warehouse"}, "connection"),
        ({"url": "http://h", "connection": "nobody's"}, "connection"),
        ({"url": "http://h", "headers": {"Authorization": "Bearer {{secret:token}}"}}, "headers"),
        ({"url": "http://h/{{runtime_env:SPIN_TOKEN}}"}, "url"),
    ],
)
def test_problems_name_their_field(bench, fields: dict, field: str) -> None:
    assert bench.errors(**fields)[0].field == field


def test_json_that_is_none_is_warned_of_and_sent_as_text(bench) -> None:
    (problem,) = bench.problems('{"a": 1,\n "b" 2}', url="http://h")
    assert (problem.warning, problem.line, problem.column) == (True, 2, 6)
    assert call(bench, '{"a" 1}', url="http://h")[2]["body"] == '{"a" 1}'


def test_the_connection_is_resolved_before_compiling(bench) -> None:
    assert bench.type.references(bench.cell(url="/", connection="tickets")) == ("tickets",)
    assert bench.type.connection_kind == "rest"
    assert json.dumps(bench.type.form_schema)
