"""Workflow of `recommend`: the base to choose for the images of a config."""
