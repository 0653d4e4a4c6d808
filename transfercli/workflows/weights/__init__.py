"""Workflow of `weights check`."""
