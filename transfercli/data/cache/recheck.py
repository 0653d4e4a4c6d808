"""Recheck: unchanged files whose bytes a scheduled job reads again, a different sample every night.

The cache recognises an unchanged file by its state (`FileState`). A file system that does not keep the time of a
change, a restored disk image or a damaged disk can break that; such a file would be trusted for ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

NIGHTLY = 100  # about the smallest number of files per night
NIGHTS = 30  # in as many successive nights every file is read again
_STEPS = [step for step in range(1, NIGHTS + 1) if NIGHTS % step == 0]


@dataclass(frozen=True, slots=True)
class Recheck:
    """Sample of files that follows from a seed and the number of the night.

    Each file has a place in the cycle of `NIGHTS` nights, by a hash, and is read again in the night of its place. A
    small data set has shorter cycles, whose length divides `NIGHTS`, so that a file never waits longer, also if the
    number of files changes.
    """

    seed: int
    night: int

    def sample(self, files: Collection[str]) -> frozenset[str]:
        """Return the files to read again this night."""
        nights = max(step for step in _STEPS if step == 1 or step * NIGHTLY <= len(files))
        return frozenset(file for file in files if (self._place(file) - self.night) % nights == 0)

    def _place(self, file: str) -> int:
        digest = hashlib.sha256(f"{self.seed}/{file}".encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8]) % NIGHTS
