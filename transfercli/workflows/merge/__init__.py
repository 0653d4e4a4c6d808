"""Workflow of `merge`: one model from several runs."""
