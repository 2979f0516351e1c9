"""SQL: queries over the notebook's DataFrames."""

from spin_cells.definition import Definition
from spin_cells.sql.compile import build, check, reads
from spin_cells.sql.form import SCHEMA

CELL_TYPE = Definition(
    name="sql",
    display_name="SQL",
    description="Queries over the notebook's DataFrames with DuckDB",
    language="sql",
    form_schema=SCHEMA,
    build=build,
    check=check,
    reads=reads,
)
