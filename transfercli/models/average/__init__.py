"""Averages: classifiers whose probabilities are the mean of those of several networks."""
