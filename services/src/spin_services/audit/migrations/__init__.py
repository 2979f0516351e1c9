"""Revisions of the audit service's tables."""
