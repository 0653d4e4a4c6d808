"""The life of runs: the recipes behind `runs`."""
