"""The compiler service: cell types, validation, and programs that are signed, logged and sealed."""
