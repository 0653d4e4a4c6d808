"""The experiment config."""
