"""Workflow of `monitor`: drift and expected accuracy of recent images without labels."""
