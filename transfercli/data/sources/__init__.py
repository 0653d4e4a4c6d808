"""Image sources: folders, tables, Keras data sets and file patterns, listed without opening an image."""
