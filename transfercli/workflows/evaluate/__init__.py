"""Evaluation: the recipe behind `evaluate`."""
