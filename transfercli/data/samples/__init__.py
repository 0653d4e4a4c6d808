"""Samples: embedded data sets of real handwritten digits, the same bytes on every machine."""
