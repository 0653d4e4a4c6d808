"""Pixels of a split, read from the image cache, or decoded again from their files if it is damaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from transfercli.data.cache.images import entry_of
from transfercli.data.cache.in_memory import MemoryCache
from transfercli.data.cache.index import Entry
from transfercli.data.cache.rows import RowStore, StoredRows
from transfercli.data.image import Decoded, Geometry
from transfercli.errors import DataError
from transfercli.io.cores import usable_cores
from transfercli.rows import Indices, Rows

Redo = Callable[[], Decoded]


class NoCache(MemoryCache):
    """Store that keeps the entries of images but no pixels, if no disk has room for them."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(geometry)
        self.close()

    def add(self, decoded: Decoded) -> Entry:
        entry = self._entries[decoded.sha256] = entry_of(decoded)
        return entry


class DecodedRows:
    """Images that are decoded from their files each time they are read, by several threads.

    decode: gets the index of an image and returns its pixels, uint8 [H, W, 3].
    """

    def __init__(self, count: int, decode: Callable[[int], np.ndarray]) -> None:
        self._count, self._decode = count, decode
        self._threads = ThreadPoolExecutor(usable_cores(), "decoding")

    def __len__(self) -> int:
        return self._count

    def read(self, indices: Indices) -> np.ndarray:
        return np.stack(list(self._threads.map(self._decode, np.asarray(indices).tolist())))


def stored_images(store: RowStore, entries: Sequence[Entry], redo: Sequence[Redo]) -> Rows:
    """Return the RGB images of a sequence of entries as rows, uint8 [H, W, 3].

    redo: decodes each image again, if its row in the cache is damaged or missing. Reading raises `DataError` if an
    image can be read neither from the cache nor from its file.
    """
    decode = _decode_again(entries, redo)
    return DecodedRows(len(entries), decode) if isinstance(store, NoCache) else StoredRows(store, entries, decode)


def _decode_again(entries: Sequence[Entry], redo: Sequence[Redo]) -> Callable[[int], np.ndarray]:
    sha256s = [entry.sha256 for entry in entries]

    def decode_again(index: int) -> np.ndarray:
        decoded = redo[index]()
        if decoded.pixels is None or decoded.sha256 != sha256s[index]:
            raise DataError(
                f"an image is not in the cache, or damaged there, and its file has changed since it was read "
                f"({decoded.problem or 'other content'})",
                "start the command again: changed files are read again",
            )
        return decoded.pixels

    return decode_again
