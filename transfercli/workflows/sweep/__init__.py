"""Workflow of `sweep`: many trainings of one config, the best values among them, and a score that is not flattered."""
