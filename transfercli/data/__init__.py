"""Data sets: sources, decoding, caching, splitting, quality checks and batches."""
