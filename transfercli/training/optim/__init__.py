"""Optimization: optimizers, schedules, losses, weight averaging, BatchNorm."""
