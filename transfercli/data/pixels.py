"""Reading pixels back from a store, each row checked once, and mended from its file where the cache is damaged."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import numpy as np

from transfercli.data.cache import Store
from transfercli.data.cache_index import Entry
from transfercli.data.decode import Decoded
from transfercli.data.segments import checksum
from transfercli.errors import DataError

Redo = Callable[[], Decoded]


class StoredImages:
    """The pixels of some entries, in their order; always RGB.

    A row's checksum is compared when it is first read by this process. Where it differs, or the segment is gone
    (evicted by another process, say), the image is decoded from its file again, if that still has the same bytes.
    """

    def __init__(self, store: Store, entries: Sequence[Entry], redo: Sequence[Redo]) -> None:
        self._store, self._redo = store, redo
        self._shape = store.geometry.shape
        names = sorted({entry.segment for entry in entries})
        number = {name: i for i, name in enumerate(names)}
        self._segments = names
        self._segment = np.array([number[entry.segment] for entry in entries], np.int32)
        self._place = np.array([entry.place for entry in entries], np.int64)
        self._checksum = np.array([entry.checksum for entry in entries], np.uint32)
        self._sha256s = [entry.sha256 for entry in entries]
        self._checked = np.zeros(len(entries), bool)
        self._mended: dict[int, np.ndarray] = {}
        for name in names:  # a mapped segment stays readable when another process evicts it
            with contextlib.suppress(OSError, ValueError):
                store.rows(name)

    def __len__(self) -> int:
        return len(self._place)

    def read(self, indices: np.ndarray) -> np.ndarray:
        """uint8 [n, H, W, 3], a copy; raises DataError where neither the cache nor the file can give an image."""
        indices = np.asarray(indices, np.int64)
        out = np.empty((len(indices), *self._shape), np.uint8)
        segments = self._segment[indices]
        for segment in np.unique(segments):
            where = np.flatnonzero(segments == segment)
            self._read_segment(self._segments[segment], indices[where], where, out)
        return out

    def _read_segment(self, segment: str, indices: np.ndarray, where: np.ndarray, out: np.ndarray) -> None:
        try:
            out[where] = self._store.rows(segment)[self._place[indices]]
        except (OSError, ValueError, IndexError):
            self._store.damaged(segment)
            for index, slot in zip(indices, where, strict=True):
                out[slot] = self._mend(int(index))
            return
        for index, slot in zip(indices, where, strict=True):
            if self._checked[index]:
                continue
            if int(index) not in self._mended and checksum(out[slot]) == self._checksum[index]:
                self._checked[index] = True
                continue
            if int(index) not in self._mended:
                self._store.damaged(segment)
            out[slot] = self._mend(int(index))

    def _mend(self, index: int) -> np.ndarray:
        """Kept in memory: damage is rare, and one image is small."""
        if index not in self._mended:
            decoded = self._redo[index]()
            if decoded.pixels is None or decoded.sha256 != self._sha256s[index]:
                raise DataError(
                    f"an image in the cache is damaged and its file has changed since it was read "
                    f"({decoded.problem or 'other content'})",
                    "start the command again: changed files are read again",
                )
            self._mended[index] = decoded.pixels
        return self._mended[index]
