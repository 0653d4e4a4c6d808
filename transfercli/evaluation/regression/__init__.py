"""Evaluation of one number per image: predictions, metrics with intervals, and the result."""
