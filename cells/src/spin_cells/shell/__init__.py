"""Shell: commands on the runtime's own machine."""

from spin_cells.definition import Definition
from spin_cells.shell.compile import build, check, reads
from spin_cells.shell.form import SCHEMA

CELL_TYPE = Definition(
    name="shell",
    display_name="Shell",
    description="Commands on the machine where the runtime's kernels run",
    language="shell",
    form_schema=SCHEMA,
    build=build,
    check=check,
    reads=reads,
)
