"""Prediction: the recipe behind `predict`."""
