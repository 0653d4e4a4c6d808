"""Comparison of runs: the workflow of `runs compare`."""
