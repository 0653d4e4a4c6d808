"""Tasks: what a classifier's output units answer."""
