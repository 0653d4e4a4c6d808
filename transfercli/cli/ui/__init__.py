"""Terminal output: progress, tables, and formatting of values."""
