"""Code: any kernel's own language."""

from spin_cells.code.compile import build, check, refer
from spin_cells.code.form import SCHEMA
from spin_cells.definition import Definition

CELL_TYPE = Definition(
    name="code",
    display_name="Code",
    description="Code in the language of the notebook's kernel, run as it is written",
    language="",
    form_schema=SCHEMA,
    build=build,
    check=check,
    refer=refer,
)
