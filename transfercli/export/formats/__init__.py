"""Export formats: a writer and a reader of each, and the table of formats."""
