"""Bases, heads and weights."""
