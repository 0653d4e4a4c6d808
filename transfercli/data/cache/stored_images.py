"""The pixels of a split, read from the image cache and decoded again from their files where it is damaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from transfercli.data.cache.index import Entry
from transfercli.data.cache.rows import RowStore, StoredRows
from transfercli.data.image import Decoded
from transfercli.errors import DataError

Redo = Callable[[], Decoded]


class StoredImages(StoredRows):
    """Images, always RGB: `read(indices)` gives uint8 [n, H, W, 3], a copy.

    It raises DataError where neither the cache nor the file can give an image.
    """

    def __init__(self, store: RowStore, entries: Sequence[Entry], redo: Sequence[Redo]) -> None:
        super().__init__(store, entries)
        self._redo = redo
        self._sha256s = [entry.sha256 for entry in entries]

    def _remake(self, index: int) -> np.ndarray:
        """Decoded again, if the file still has the same bytes."""
        decoded = self._redo[index]()
        if decoded.pixels is None or decoded.sha256 != self._sha256s[index]:
            raise DataError(
                f"an image in the cache is damaged and its file has changed since it was read "
                f"({decoded.problem or 'other content'})",
                "start the command again: changed files are read again",
            )
        return decoded.pixels
