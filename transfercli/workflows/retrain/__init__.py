"""Scheduled retraining: the recipes behind `retrain` and `promote`."""
