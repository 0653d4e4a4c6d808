"""Workflow of `serve`: models that answer over HTTP."""
