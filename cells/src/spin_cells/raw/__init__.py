"""Raw: nbformat's raw cells, kept as they are."""

from spin_cells.definition import Definition
from spin_cells.raw.compile import build
from spin_cells.raw.form import SCHEMA

CELL_TYPE = Definition(
    name="raw",
    display_name="Raw",
    description="Text that is kept as it is, for tools that convert notebooks",
    language="text",
    form_schema=SCHEMA,
    build=build,
    executable=False,
)
