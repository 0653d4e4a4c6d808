"""Pixels of a split, read from the image cache, or decoded again from their files if it is damaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from transfercli.data.cache.index import Entry
from transfercli.data.cache.rows import RowStore, StoredRows
from transfercli.data.image import Decoded
from transfercli.errors import DataError

Redo = Callable[[], Decoded]


def stored_images(store: RowStore, entries: Sequence[Entry], redo: Sequence[Redo]) -> StoredRows:
    """Return the RGB images of a sequence of entries as rows, uint8 [H, W, 3].

    redo: decodes each image again, if its row in the cache is damaged or missing. Reading raises `DataError` if an
    image can be read neither from the cache nor from its file.
    """
    sha256s = [entry.sha256 for entry in entries]

    def decode_again(index: int) -> np.ndarray:
        decoded = redo[index]()
        if decoded.pixels is None or decoded.sha256 != sha256s[index]:
            raise DataError(
                f"an image in the cache is damaged and its file has changed since it was read "
                f"({decoded.problem or 'other content'})",
                "start the command again: changed files are read again",
            )
        return decoded.pixels

    return StoredRows(store, entries, decode_again)
