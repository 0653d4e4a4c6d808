"""Comparison of runs: the recipe behind `runs compare`."""
