"""Workflows of the commands `data`, `cache` and `sample`."""
