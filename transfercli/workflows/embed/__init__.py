"""Workflows of `embed` and `similar`."""
