"""Adaptation of linear heads to a target, with unlabelled images of it and labelled images of other domains."""
