"""Rendering the gateway's configuration."""
