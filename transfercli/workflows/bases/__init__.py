"""Bases: the workflow of `bases list`."""
