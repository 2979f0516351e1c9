"""Code cells: any kernel's language, to the last byte."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cells.conftest import WAREHOUSE


@given(source=st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_code_reaches_the_kernel_as_it_was_written(bench, source: str) -> None:
    assert bench.compile(source).code == source
    assert bench.compile(source).uses == ()


def test_no_kernel_is_too_foreign(bench) -> None:
    assert bench.problems("println(1)", kernel="julia") == []


def test_connections_are_granted_with_what_they_allow(bench) -> None:
    (use,) = bench.compile("x", connections=["warehouse", WAREHOUSE.id.hex()]).uses
    assert (use.connection_id, use.operations, use.params_digest) == (WAREHOUSE.id, ("sql.query", "sql.schema"), b"")
    assert bench.type.references(bench.cell("x", connections=["warehouse"])) == ("warehouse",)
    assert "no connection other" in bench.refuses("x", connections=["other"])
