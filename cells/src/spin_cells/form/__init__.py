"""Form: inputs that set the notebook's variables."""

from spin_cells.definition import Definition
from spin_cells.form.compile import build, check
from spin_cells.form.form import SCHEMA

CELL_TYPE = Definition(
    name="form",
    display_name="Form",
    description="Inputs for whoever runs the notebook; each sets a variable",
    language="",
    form_schema=SCHEMA,
    build=build,
    check=check,
)
