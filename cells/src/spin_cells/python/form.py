"""Fields of a Python cell."""

from spin_cells.code.form import CONNECTIONS
from spin_cells.definition import form

SCHEMA = form({"connections": CONNECTIONS})
