"""Revisions of auth's tables, oldest first."""
