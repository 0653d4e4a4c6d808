"""Data quality: duplicates, label errors, odd files, and changes between two data sets."""
