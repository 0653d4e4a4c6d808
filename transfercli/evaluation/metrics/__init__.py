"""Metrics: the table of them, and the counts and weights they are computed from."""
