"""Evaluation of models that give an image any number of labels."""
