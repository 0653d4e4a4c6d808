"""Workflows of the commands `retrain` and `promote`."""
