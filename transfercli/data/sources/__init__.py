"""Image sources: folders, tables, Keras data sets and file patterns, listed by name without decoding an image."""
