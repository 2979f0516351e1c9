"""Connection test: tries a connection where it is used, in the runtime, with its credential."""

from spin_cells.connection_test.compile import build, check, refer
from spin_cells.connection_test.form import SCHEMA
from spin_cells.definition import Definition

CELL_TYPE = Definition(
    name="connection_test",
    display_name="Connection test",
    description="Tries a connection from the runtime, on the path that cells take",
    language="",
    form_schema=SCHEMA,
    build=build,
    check=check,
    refer=refer,
)
