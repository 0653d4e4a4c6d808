"""Search of a sweep: its space, the values that are tried next, and the storage of what became of them."""
