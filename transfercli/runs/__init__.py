"""Run folders: paths, records, lookup, locks, champions and retention."""
