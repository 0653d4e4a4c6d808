"""Recheck: unchanged files whose bytes a scheduled job reads again, a different sample every night.

The cache recognises an unchanged file by its state (`FileState`). A file system that does not keep the time of a
change, a restored disk image or a damaged disk can break that; such a file would be trusted for ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

NIGHTLY = 100  # files per night, so that up to 199 files are read again every night
MAX_NIGHTS = 30  # after this many nights every file was read again


@dataclass(frozen=True, slots=True)
class Recheck:
    """Sample of files that follows from a seed and the number of the night.

    The files are divided into parts by a hash, one per night; after the last part they are divided anew.
    """

    seed: int
    night: int

    def sample(self, files: Collection[str]) -> frozenset[str]:
        """Return the files to read again this night."""
        nights = min(max(len(files) // NIGHTLY, 1), MAX_NIGHTS)
        cycle, part = divmod(self.night, nights)
        return frozenset(file for file in files if self._hash(cycle, file) % nights == part)

    def _hash(self, cycle: int, file: str) -> int:
        digest = hashlib.sha256(f"{self.seed}/{cycle}/{file}".encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8])
