"""Workflow of `ui`: a local page over all runs."""
