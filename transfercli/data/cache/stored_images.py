"""Pixels of a split, read from the image cache, or decoded again from their files if it is damaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from transfercli.data.cache.index import Entry
from transfercli.data.cache.rows import RowStore, StoredRows
from transfercli.data.image import Decoded
from transfercli.errors import DataError

Redo = Callable[[], Decoded]


class StoredImages(StoredRows):
    """RGB images in the cache: `read(indices)` returns a copy, uint8 [n, H, W, 3].

    Raises `DataError` if an image can be read neither from the cache nor from its file.
    """

    def __init__(self, store: RowStore, entries: Sequence[Entry], redo: Sequence[Redo]) -> None:
        super().__init__(store, entries)
        self._redo = redo
        self._sha256s = [entry.sha256 for entry in entries]

    def _remake(self, index: int) -> np.ndarray:
        """Decode the file again. Raises `DataError` if its bytes have changed."""
        decoded = self._redo[index]()
        if decoded.pixels is None or decoded.sha256 != self._sha256s[index]:
            raise DataError(
                f"an image in the cache is damaged and its file has changed since it was read "
                f"({decoded.problem or 'other content'})",
                "start the command again: changed files are read again",
            )
        return decoded.pixels
