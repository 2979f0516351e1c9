"""What can be run: one folder per cell type."""
