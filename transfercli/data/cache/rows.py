"""Rows read from a store: each is checked once, and created again if the store is damaged."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from transfercli.data.cache.index import Entry
from transfercli.data.cache.segments import Space, checksum
from transfercli.rows import Indices


class RowStore(Protocol):
    """Store of the rows of one space: `Segments`, or this process's memory."""

    @property
    def space(self) -> Space: ...
    def rows(self, segment: str) -> np.ndarray: ...
    def damaged(self, segment: str) -> None: ...
    def release(self) -> None: ...


class StoredRows:
    """Rows of a sequence of entries.

    The checksum of a row is compared when this process first reads it. If it differs, or the segment is missing
    (evicted by another process, for example), the row is created again.

    remake: gets the index of an entry and returns its row [*shape], created again from its source; raises `DataError`
    if that fails.
    """

    def __init__(self, store: RowStore, entries: Sequence[Entry], remake: Callable[[int], np.ndarray]) -> None:
        self._store, self._space, self._remake = store, store.space, remake
        names = sorted({entry.segment for entry in entries})
        number = {name: i for i, name in enumerate(names)}
        self._segments = names
        self._segment = np.array([number[entry.segment] for entry in entries], np.int32)
        self._row = np.array([entry.row for entry in entries], np.int64)
        self._checksum = np.array([entry.checksum for entry in entries], np.uint32)
        self._checked = np.zeros(len(entries), bool)
        self._mended: dict[int, np.ndarray] = {}
        for name in names:  # a mapped segment stays readable if another process evicts it
            with contextlib.suppress(OSError, ValueError):
                store.rows(name)

    def __len__(self) -> int:
        return len(self._row)

    def read(self, indices: Indices) -> np.ndarray:
        """Return a copy of the rows at `indices`, [n, *shape] in the dtype of the space."""
        indices = np.asarray(indices, np.int64)
        out = np.empty((len(indices), *self._space.shape), self._space.dtype)
        segments = self._segment[indices]
        for segment in np.unique(segments):
            slots = np.flatnonzero(segments == segment)
            self._read_segment(self._segments[segment], indices[slots], slots, out)
        return out

    def release(self) -> None:
        """Remove the rows that were read from this process's memory; they can be read again."""
        self._store.release()

    def _read_segment(self, segment: str, indices: np.ndarray, slots: np.ndarray, out: np.ndarray) -> None:
        try:
            out[slots] = self._store.rows(segment)[self._row[indices]]
        except (OSError, ValueError, IndexError):
            self._store.damaged(segment)
            for index, slot in zip(indices, slots, strict=True):
                out[slot] = self._mend(int(index))
            return
        unchecked = ~self._checked[indices]
        for index, slot in zip(indices[unchecked], slots[unchecked], strict=True):
            if int(index) not in self._mended and checksum(out[slot]) == self._checksum[index]:
                self._checked[index] = True
                continue
            if int(index) not in self._mended:
                self._store.damaged(segment)
            out[slot] = self._mend(int(index))

    def _mend(self, index: int) -> np.ndarray:
        """Return a row created again, and keep it in memory: damage is rare, and a row is small."""
        if index not in self._mended:
            self._mended[index] = self._remake(index)
        return self._mended[index]
