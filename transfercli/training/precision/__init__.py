"""Precision in which a training computes."""
