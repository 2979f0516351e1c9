"""Connection test: one operation of the connection's own kind, without parameters."""

from spin_envelope.digests import params_digest
from tests.cells.conftest import TICKETS, WAREHOUSE, Workbench


def test_a_connection_of_any_kind_is_tried_by_its_own_operation(bench: Workbench) -> None:
    for connection, operation in ((TICKETS, "rest.test"), (WAREHOUSE, "postgresql.test")):
        compiled = bench.compile(connection=connection.name)
        (use,) = compiled.uses
        assert (use.connection_id, use.operations, use.params_digest) == (connection.id, (operation,), params_digest({}))
        assert operation in compiled.code and connection.id.hex() in compiled.code


def test_what_is_no_connection_is_told(bench: Workbench) -> None:
    assert "no connection" in bench.refuses(connection="nobody's")
    assert "required" in bench.refuses() or "connection" in bench.refuses()
