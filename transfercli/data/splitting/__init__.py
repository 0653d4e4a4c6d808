"""Splits: training, validation and test images, assigned once and kept."""
