"""Export formats: one writer and one reader each, and the table of them."""
