"""Metrics: the table of metrics, and the counts and image weights they are computed from."""
