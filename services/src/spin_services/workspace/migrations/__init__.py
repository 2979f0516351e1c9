"""Revisions of the workspace service's tables."""
