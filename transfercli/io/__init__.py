"""Files and processes: atomic writes, bounded reads, checksums, child processes."""
