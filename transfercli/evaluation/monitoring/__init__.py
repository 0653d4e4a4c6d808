"""Monitoring of a model without labels: sketches of what it was asked and answered, and its expected accuracy."""
