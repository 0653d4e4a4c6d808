"""Gradients of a class score by parts of an image, of which heat maps are made."""
