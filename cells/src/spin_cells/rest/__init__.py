"""REST: one HTTP request, with a connection's credential or without any."""

from spin_cells.definition import Definition
from spin_cells.rest.compile import build, check, reads, refer
from spin_cells.rest.form import SCHEMA
from spin_cells.rest.kind import KIND

CELL_TYPE = Definition(
    name="rest",
    display_name="REST",
    description="An HTTP request; its credential stays with the connection",
    language="json",
    form_schema=SCHEMA,
    build=build,
    check=check,
    refer=refer,
    reads=reads,
    connection_kind=KIND.name,
)
