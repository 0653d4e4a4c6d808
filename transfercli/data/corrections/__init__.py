"""Corrections of labels: a log of decisions on images, and the data set as they leave it."""
