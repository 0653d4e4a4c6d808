"""Storage of a config's data: local copies of remote data, and shards of tar archives."""
