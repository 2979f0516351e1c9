"""Markdown cells have no fields."""

from spin_cells.definition import form

SCHEMA = form({})
