"""Evaluation: the workflow of `evaluate`."""
