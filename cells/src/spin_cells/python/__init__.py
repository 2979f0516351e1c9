"""Python: the language of most notebooks."""

from spin_cells.code.compile import refer
from spin_cells.definition import Definition
from spin_cells.python.compile import build, check, reads
from spin_cells.python.form import SCHEMA

CELL_TYPE = Definition(
    name="python",
    display_name="Python",
    description="Python with IPython's magics, run in the notebook's kernel",
    language="python",
    form_schema=SCHEMA,
    build=build,
    check=check,
    refer=refer,
    reads=reads,
)
