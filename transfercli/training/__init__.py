"""Epochs, and what is kept of them."""
