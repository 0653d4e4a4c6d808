"""Monitoring of a model without labels: sketches of what it was asked, and of what it answered."""
