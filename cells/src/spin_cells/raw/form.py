"""Raw cells have no fields: what nbformat knows of them stands in the cell's metadata."""

from spin_cells.definition import form

SCHEMA = form({})
