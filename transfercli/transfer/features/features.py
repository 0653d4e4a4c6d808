"""The boundary cache: what a frozen prefix makes of each image, computed once and kept on disk for every later run.

A row is found by the content of its image and the number of its view, in a space that is named by everything else it
follows from. Another head, learning rate or seed finds the same rows; so does the next run.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from transfercli.data.cache.index import Entry, Index
from transfercli.data.cache.rows import StoredRows
from transfercli.data.cache.segments import Segments, private_folder
from transfercli.data.dataset import Split
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows, Indices, Rows
from transfercli.transfer.features.prefix import BATCH, Prefix, computed
from transfercli.transfer.features.views import Views, rows_an_image, viewed

SPARED = 0.1  # of what is free on the disk, left to others
KEEP_SECONDS = 60.0  # of computing that a kill may lose
UNUSABLE = (sqlite3.Error, OSError)  # a cache that cannot be opened, read or written


@dataclass(eq=False)
class EpochFeatures:
    """The features of a split as training reads them: one row per image, from the view of the current epoch.

    rows: [*shape] each, view after view of each image, on disk or in memory. views: number of views per image.
    """

    rows: Rows
    views: int = 1
    _view: int = field(default=0)

    def __len__(self) -> int:
        return len(self.rows) // self.views

    def set_epoch(self, epoch: int) -> None:
        """Epochs cycle through the views."""
        self._view = epoch % self.views

    def read(self, indices: Indices) -> np.ndarray:
        """Return the rows at `indices` (int64 [n]) as float32 [n, *shape]."""
        return self.rows.read(indices * self.views + self._view).astype("float32", copy=False)


@dataclass
class FeatureCache:
    """The features below a cache folder `root`, of at most `max_bytes` with everything else there.

    pixels: the name of how a file becomes pixels, the decoder's version included: features follow from that, too.
    hits, misses: rows of this process so far. spared: bytes of the disk that are needed for something else.
    """

    root: Path
    max_bytes: int
    pixels: str
    reporter: Reporter
    hits: int = 0
    misses: int = 0
    spared: int = 0

    def room(self) -> float:
        """Bytes that features may take, all other rows evicted; raises OSError or sqlite3.Error.

        What the cache holds is room, too: a run that is started again finds as much as before it filled some.
        """
        private_folder(self.root)
        with closing(Index(self.root)) as index:
            held = sum(size for _, _, size in index.segments())
        free = max(0, shutil.disk_usage(self.root).free - self.spared)
        return min(self.max_bytes, held + free * (1 - SPARED))

    def of(self, split: Split, prefix: Prefix, views: Views | None = None) -> EpochFeatures:
        """The features of every image and view of a split: found, or computed now and kept.

        Whatever ends the pass, what was computed until then is kept, but for the last minute before a kill. Raises
        `RoomError` where the disk is full, and OSError or sqlite3.Error where the cache cannot be used.
        """
        inputs, keys = viewed(split.images, views), _keys(split, views)
        store = self._store(prefix, views)
        try:
            found = store.entries(keys)
            missing = _missing(found, keys)
            store.make_room(len(missing) * store.space.row_bytes)
            kept = time.monotonic()
            for row, feature in computed(prefix, inputs, missing, self.reporter):
                found[keys[row]] = store.append(Entry(keys[row]), feature)
                if time.monotonic() - kept > KEEP_SECONDS:
                    store.finish_segment()
                    kept = time.monotonic()
        finally:
            store.close()
        if store.trouble:
            self.reporter.warning(f"the feature cache keeps nothing of this run: {store.trouble}")
        self.hits, self.misses = self.hits + len(keys) - len(missing), self.misses + len(missing)

        def compute_again(row: int) -> np.ndarray:
            feature: np.ndarray = prefix(inputs.read(np.array([row])))[0]
            return feature

        rows = StoredRows(store, [found[key] for key in keys], compute_again)
        return EpochFeatures(rows, rows_an_image(views))

    def missing(self, split: Split, prefix: Prefix, views: Views | None = None) -> int:
        """How many rows `of` would have to compute."""
        keys = _keys(split, views)
        with closing(self._store(prefix, views)) as store:
            return len(_missing(store.entries(keys), keys))

    def difference(self, split: Split, prefix: Prefix, measure: Callable[[], float], *, keep: bool = True) -> float:
        """How far a prefix is from float32 on the first batch of a split: found, or measured now and kept."""
        first = hashlib.sha256("".join(split.sha256s[:BATCH]).encode())
        store = self._store(prefix, None)
        try:
            found = store.entry(key := f"difference:{first.hexdigest()}")
            if found is None:
                found = Entry(key, problem=repr(measure()))
                if keep:
                    store.append(found, None)
        finally:
            store.close()
        return float(found.problem)

    def _store(self, prefix: Prefix, views: Views | None) -> Segments:
        return Segments(self.root, prefix.space(self.pixels, views), int(self.room()))


def features_of(
    split: Split,
    prefix: Prefix,
    cache: FeatureCache | None,
    reporter: Reporter,
    give_up: Callable[[str], None],
    views: Views | None = None,
) -> EpochFeatures:
    """From the cache; in memory where there is none, or no room in it, as it may be for a probe.

    give_up: is told why a cache that is there is not used; what it raises ends the pass before it begins.
    """
    inputs = viewed(split.images, views)
    if cache is not None:
        try:
            if len(inputs) * prefix.row_bytes <= cache.room():
                return cache.of(split, prefix, views)
            give_up("there is no room in the feature cache (compute.cache_max_gb, or the disk)")
        except UNUSABLE as error:
            give_up(f"the feature cache cannot be used: {error}")
    rows = computed(prefix, inputs, np.arange(len(inputs)), reporter)
    array = np.stack([feature for _, feature in rows])
    return EpochFeatures(ArrayRows(array), rows_an_image(views))


def _keys(split: Split, views: Views | None) -> list[str]:
    """What the rows of a split are found by, view after view of each image."""
    return [f"{sha256}:{view}" for sha256 in split.sha256s for view in range(rows_an_image(views))]


def _missing(found: Mapping[str, Entry], keys: Sequence[str]) -> np.ndarray:
    """The row of each key that is not found; of a key that several images share, its first."""
    first = {key: row for row, key in reversed(list(enumerate(keys)))}
    return np.array([row for row, key in enumerate(keys) if key not in found and first[key] == row], np.int64)
