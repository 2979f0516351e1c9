"""On the PYTHONPATH of a runtime that is measured: it finds the cell type `bench` beside its own."""

from pathlib import Path

import spin_cells

spin_cells.__path__.append(str(Path(__file__).parent))
