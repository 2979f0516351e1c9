"""Revisions of the secrets service's tables."""
