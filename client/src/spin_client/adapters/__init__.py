"""Interfaces of other projects, served by SPIN sessions."""
