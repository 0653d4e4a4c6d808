"""Data sets: the recipes behind `data` and `cache`."""
