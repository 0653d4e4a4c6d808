"""Weight files of other libraries: recognised by their names, and mapped to a base by rules that are data."""
