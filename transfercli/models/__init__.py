"""Networks: bases, heads, classifiers and their weights."""
