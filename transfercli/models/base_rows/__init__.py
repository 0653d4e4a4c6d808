"""Rows of the table of bases, one module for each family or source of networks."""
