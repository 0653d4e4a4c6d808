"""Workflows of the commands `runs list`, `runs show` and `runs prune`."""
