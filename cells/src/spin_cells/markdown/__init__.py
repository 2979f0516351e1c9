"""Markdown: text between the cells that run."""

from spin_cells.definition import Definition
from spin_cells.markdown.compile import build
from spin_cells.markdown.form import SCHEMA

CELL_TYPE = Definition(
    name="markdown",
    display_name="Markdown",
    description="Text with headings, lists, tables, images and formulas",
    language="markdown",
    form_schema=SCHEMA,
    build=build,
    executable=False,
)
