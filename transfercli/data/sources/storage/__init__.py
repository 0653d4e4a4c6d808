"""Where the data of a config lies: local copies of remote data, and shards of tar archives."""
