"""Collections of bounded size over a stream: its lowest entries, and a random sample of it."""

from __future__ import annotations

import heapq
import random
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


class Lowest(Generic[Entry]):
    """The entries with the lowest keys of a stream, at most `most`; of equal keys the first."""

    def __init__(self, most: int) -> None:
        self._most, self._seen = most, 0
        self._heap: list[tuple[float, int, Entry]] = []

    def add(self, key: float, entry: Entry) -> None:
        """Take an entry, which may push another out."""
        held = (-key, -self._seen, entry)  # the numbers differ, so that entries are never compared
        self._seen += 1
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, held)
        else:
            heapq.heappushpop(self._heap, held)

    def entries(self) -> list[Entry]:
        """Return the entries, that of the lowest key first."""
        return [entry for _, _, entry in sorted(self._heap, key=lambda held: held[:2], reverse=True)]


class Sample(Generic[Entry]):
    """Simple random sample of a stream, at most `most` entries (Vitter 1985, algorithm R); the same for each stream."""

    def __init__(self, most: int) -> None:
        self._most, self._seen, self._draws = most, 0, random.Random(0)
        self.entries: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """Take an entry, or leave it out."""
        self._seen += 1
        if len(self.entries) < self._most:
            self.entries.append(entry)
        elif (place := self._draws.randrange(self._seen)) < self._most:
            self.entries[place] = entry
