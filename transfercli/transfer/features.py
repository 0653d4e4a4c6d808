"""The boundary cache: what a frozen prefix makes of each image, computed once and kept on disk for every later run.

A row is found by the content of its image and the number of its view, in a space that is named by everything else it
follows from. Another head, learning rate or seed finds the same rows; so does the next run.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from transfercli.data.cache_index import Entry
from transfercli.data.dataset import Split
from transfercli.data.rows import StoredRows
from transfercli.data.segments import Segments, private_folder
from transfercli.events import Events
from transfercli.transfer.prefix import BATCH, Inputs, Prefix, computed
from transfercli.transfer.views import ViewedImages, Views

SPARED = 0.1  # of what is free on the disk, left to others


class Features(StoredRows):
    """Rows of features; one that is damaged is computed again."""

    def __init__(self, store: Segments, entries: Sequence[Entry], prefix: Prefix, inputs: Inputs) -> None:
        super().__init__(store, entries)
        self._prefix, self._inputs = prefix, inputs

    def _remake(self, index: int) -> np.ndarray:
        row: np.ndarray = self._prefix(self._inputs.read(np.array([index])))[0]
        return row


@dataclass
class FeatureSource:
    """The features of a split, served to training: one row an image, of the view that the epoch has."""

    rows: Features
    images: int
    views: int = 1
    _view: int = field(default=0)

    def __len__(self) -> int:
        return self.images

    def set_epoch(self, epoch: int) -> None:
        """Epochs cycle through the views."""
        self._view = epoch % self.views

    def read(self, indices: np.ndarray) -> np.ndarray:
        """float32 [n, *shape]."""
        return self.rows.read(np.asarray(indices) * self.views + self._view).astype("float32", copy=False)


@dataclass
class FeatureCache:
    """The features below a cache folder `root`, of at most `max_bytes` with everything else there.

    resize: how images became their size, which features follow from. hits, misses: rows of this process so far.
    """

    root: Path
    max_bytes: int
    resize: str
    events: Events
    hits: int = 0
    misses: int = 0

    def free_bytes(self) -> float:
        """Room for more features, with older rows evicted; raises OSError where the folder cannot be used."""
        private_folder(self.root)
        return min(self.max_bytes, shutil.disk_usage(self.root).free * (1 - SPARED))

    def of(self, split: Split, prefix: Prefix, views: Views | None = None) -> FeatureSource:
        """The features of every image and view of a split: found, or computed now and kept.

        Whatever ends the pass, what was computed until then is kept. Raises `RoomError` where the disk is full.
        """
        inputs, keys = ViewedImages(split.images, views), _keys(split, views)
        store = self._store(prefix, views)
        try:
            missing = _missing(store, keys)
            store.make_room(len(missing) * store.space.row_bytes)
            for row, feature in computed(prefix, inputs, missing, self.events):
                store.append(Entry(keys[row]), feature)
            entries = [entry for key in keys if (entry := store.entry(key))]
        finally:
            store.close()
        if store.trouble:
            self.events.warn(f"the feature cache keeps nothing of this run: {store.trouble}")
        self.hits, self.misses = self.hits + len(keys) - len(missing), self.misses + len(missing)
        return FeatureSource(Features(store, entries, prefix, inputs), len(split), len(keys) // max(len(split), 1))

    def missing(self, split: Split, prefix: Prefix, views: Views | None = None) -> int:
        """How many rows `of` would have to compute."""
        store = self._store(prefix, views)
        try:
            return len(_missing(store, _keys(split, views)))
        finally:
            store.close()

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
        return Segments(self.root, prefix.space(self.resize, views), self.max_bytes)


def _keys(split: Split, views: Views | None) -> list[str]:
    """What the rows of a split are found by, view after view of each image."""
    return [f"{sha256}:{view}" for sha256 in split.sha256s for view in range(views.count if views else 1)]


def _missing(store: Segments, keys: Sequence[str]) -> np.ndarray:
    return np.array([row for row, key in enumerate(keys) if store.entry(key) is None], np.int64)
