"""The process half of a cell type that exists for measurements alone: rows of a PostgreSQL, and an answer without rows."""
