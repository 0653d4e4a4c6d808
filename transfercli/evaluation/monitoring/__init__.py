"""Monitoring: the expected accuracy of a run on images without labels."""
