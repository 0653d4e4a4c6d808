"""The report of an evaluation with several labels per image."""
