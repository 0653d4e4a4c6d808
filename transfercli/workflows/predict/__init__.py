"""Prediction: the workflow of `predict`."""
