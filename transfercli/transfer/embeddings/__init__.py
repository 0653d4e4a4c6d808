"""Embeddings: one vector an image, in files for other programs, and the nearest neighbours among them."""
