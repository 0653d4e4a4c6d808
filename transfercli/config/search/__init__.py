"""Checks of a sweep's search space against the schema of the config."""
