"""Remote data: stores of objects, their local copies in the cache, and the parallel transfer between the two."""
