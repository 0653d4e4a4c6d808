"""Feature cache: the outputs of a frozen prefix for each image, computed once and kept on disk for later runs.

The key of a row is the content of its image and the number of its view, within a cache space whose name is a hash of
everything else that determines the features. A run with another head, learning rate or seed finds the same rows.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from transfercli.data.cache.index import Entry
from transfercli.data.cache.rows import StoredRows
from transfercli.data.cache.segments import Segments, available_bytes
from transfercli.data.dataset import Split
from transfercli.errors import DiskError
from transfercli.models.passes.batch_size import BATCH
from transfercli.models.placement import on_each_device
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows, Indices, JoinedRows, Rows, release
from transfercli.training.distribution.agreement import any_of, first_text, meet
from transfercli.training.distribution.caches import keeps
from transfercli.training.distribution.processes import processes
from transfercli.transfer.features.prefix import Prefix, compute_features
from transfercli.transfer.features.views import Views, all_views, views_per_image

KEEP_SECONDS = 60.0  # a kill loses at most the features computed in this time
UNUSABLE = (sqlite3.Error, OSError)  # a cache that cannot be opened, read or written


@dataclass(eq=False)
class EpochFeatures:
    """Features of a split for training: one row per image, from the view of the current epoch.

    rows: [*shape] each, on disk or in memory: all views of the first image, then of the next.
    views: number of views per image.
    """

    rows: Rows
    views: int = 1
    _view: int = field(default=0)

    def __len__(self) -> int:
        return len(self.rows) // self.views

    def set_epoch(self, epoch: int) -> None:
        """Choose the view of an epoch; epochs cycle through the views."""
        self._view = epoch % self.views

    def read(self, indices: Indices) -> np.ndarray:
        """Return the rows at `indices` (int64 [n]) as float32 [n, *shape]."""
        return self.rows.read(indices * self.views + self._view).astype("float32", copy=False)

    def release(self) -> None:
        """Let the rows leave this process's memory, as `transfercli.rows.release`."""
        release(self.rows)


@dataclass
class FeatureCache:
    """Cache of features in the folder `root`, of at most `max_bytes` together with everything else there.

    pixels: name of the conversion from file to pixels, with the decoder's version; features depend on it.
    run: folder of the run that uses the cache; features of runs that are gone are evicted first.
    hits, misses: rows found and computed by this process. reserved_bytes: of the disk, needed for other files.
    """

    root: Path
    max_bytes: int
    pixels: str
    reporter: Reporter
    run: Path | None = None
    hits: int = 0
    misses: int = 0
    reserved_bytes: int = 0

    def available_bytes(self) -> int:
        """Return the bytes that features may take; raises as the function of this name in `segments`."""
        return available_bytes(self.root, self.max_bytes, self.reserved_bytes)

    def features(self, split: Split, prefix: Prefix, views: Views | None = None) -> EpochFeatures:
        """Return the features of every image and view of a split, from the cache or computed now and stored.

        If the pass is interrupted, the rows computed so far are stored; a kill loses those of the last minute. Raises
        `OutOfSpaceError` if the disk is full, `OSError` or `sqlite3.Error` if the cache cannot be used.
        """
        inputs, keys = all_views(split.images, views), _keys(split, views)
        parts = self._parts(prefix, views)
        waiting = partial(self.reporter.progress, "waiting for features of another process", 0, 0)
        writes = keeps(self.root, waiting)
        try:
            missing = _missing(parts, keys, waiting)
            for part in parts:
                part.add_user(self.run)
            if len(missing):
                with parts[0].store.filling(keys, waiting) if writes else nullcontext():
                    missing = _missing(parts, keys, waiting)  # another process may have made them meanwhile
                    self._compute(prefix, inputs, keys, missing, parts if writes else [])
                meet(waiting)
                _lacking(parts, keys)  # looks up the rows that another process with the same cache has stored
        finally:
            for part in parts:
                part.store.close()
        if trouble := next((part.store.trouble for part in parts if part.store.trouble), ""):
            self.reporter.warning(f"the feature cache stores nothing of this run: {trouble}")
        self.hits, self.misses = self.hits + len(keys) - len(missing), self.misses + len(missing)
        remakes = [_Remake(prefix, inputs, part.values) for part in parts]
        stored_rows = [
            StoredRows(part.store, [part.entries[key] for key in keys], remake)
            for part, remake in zip(parts, remakes, strict=True)
        ]
        rows = stored_rows[0] if len(stored_rows) == 1 else JoinedRows(tuple(stored_rows))
        return EpochFeatures(rows, views_per_image(views))

    def _compute(
        self, prefix: Prefix, inputs: Rows, keys: Sequence[str], missing: np.ndarray, parts: Sequence[_Part]
    ) -> None:
        """Compute the missing rows and store them, also those before an error."""
        for part in parts:
            part.make_room(keys)
        stored = time.monotonic()
        try:
            for row, feature in compute_features(prefix, inputs, missing, self.reporter):
                for part in parts:
                    part.add(keys[row], feature)
                if time.monotonic() - stored > KEEP_SECONDS:
                    for part in parts:
                        part.store.flush()
                    stored = time.monotonic()
        finally:
            for part in parts:
                part.store.flush()

    def missing(self, split: Split, prefix: Prefix, views: Views | None = None) -> int:
        """Return the number of rows that `features` would have to compute."""
        keys = _keys(split, views)
        parts = self._parts(prefix, views)
        try:
            return int(np.count_nonzero(_lacking(parts, keys)))
        finally:
            for part in parts:
                part.store.close()

    def difference(self, split: Split, prefix: Prefix, measure: Callable[[], float], *, keep: bool = True) -> float:
        """Return a prefix's difference from float32 on the first batch of a split: stored, or measured now.

        measure: returns the difference; keep: store it.
        """
        first = hashlib.sha256("".join(split.sha256s[:BATCH]).encode())
        store = Segments(self.root, prefix.output_space(self.pixels), self.available_bytes())
        try:
            entry = store.entry(key := f"difference:{first.hexdigest()}")
            stored = first_text(entry.problem if entry else "")
            difference = float(stored) if stored else measure()
            if keep and entry is None and keeps(self.root):
                store.append(Entry(key, problem=repr(difference)), None)
        finally:
            store.close()
        return difference

    def _parts(self, prefix: Prefix, views: Views | None) -> list[_Part]:
        available, parts, start = self.available_bytes(), [], 0
        spaces = prefix.spaces(self.pixels, views)
        for space in spaces:
            values = slice(None) if len(spaces) == 1 else slice(start, start := start + space.shape[0])
            parts.append(_Part(Segments(self.root, space, available), values))
        return parts


@dataclass
class _Part:
    """Cache space of a prefix's features, or of the vectors of one of its layers.

    values: of a row of features. entries: of the rows in the cache, by key.
    """

    store: Segments
    values: slice
    entries: dict[str, Entry] = field(default_factory=dict)

    def look_up(self, keys: Sequence[str]) -> np.ndarray:
        """Return True for each row that has no entry, bool [N]; of several rows with the same key, for the first."""
        self.entries = dict(self.store.entries(keys))
        first = {key: row for row, key in reversed(list(enumerate(keys)))}
        return np.array([key not in self.entries and first[key] == row for row, key in enumerate(keys)], bool)

    def make_room(self, keys: Sequence[str]) -> None:
        """Make room for the rows that have no entry."""
        self.store.make_room(len({*keys} - self.entries.keys()) * self.store.space.row_bytes)

    def add_user(self, run: Path | None) -> None:
        """Record the run that uses the space."""
        if run is not None:
            self.store.index.add_user(self.store.space.name, run.absolute())

    def add(self, key: str, feature: np.ndarray) -> None:
        """Store the part's values of a row of features, unless they are there already."""
        if key not in self.entries:
            self.entries[key] = self.store.append(Entry(key), feature[self.values])


@dataclass(frozen=True)
class _Remake:
    """Function that computes the part's values of a row again, whose place in the cache is damaged."""

    prefix: Prefix
    inputs: Rows
    values: slice

    def __call__(self, row: int) -> np.ndarray:
        with on_each_device():  # only this process lacks the row
            feature: np.ndarray = self.prefix(self.inputs.read(np.array([row])))[0]
        return feature[self.values]


def features_of(
    split: Split,
    prefix: Prefix,
    cache: FeatureCache | None,
    reporter: Reporter,
    give_up: Callable[[str], None],
    views: Views | None = None,
) -> EpochFeatures:
    """Return the features of a split from the cache, or in memory if there is none or they do not fit into it.

    give_up: called with the reason if the cache exists but is not used; it may raise to prevent the computation.
    """
    inputs = all_views(split.images, views)
    if cache is not None:
        reason = first_text(_reason_not_stored(cache, len(inputs) * prefix.row_bytes))
        if not reason:
            try:
                return cache.features(split, prefix, views)
            except UNUSABLE as error:
                reason = f"the feature cache cannot be used: {error}"
                if processes().count > 1:
                    raise DiskError(reason, "set compute.cache_dir to a folder that can be written") from error
        give_up(reason)
    rows = compute_features(prefix, inputs, np.arange(len(inputs)), reporter)
    return EpochFeatures(ArrayRows(_stacked(rows, len(inputs))), views_per_image(views))


def _reason_not_stored(cache: FeatureCache, needed: int) -> str:
    """Return why features of `needed` bytes cannot be stored, or ""."""
    try:
        if needed <= cache.available_bytes():
            return ""
    except UNUSABLE as error:
        return f"the feature cache cannot be used: {error}"
    return "the features do not fit into the feature cache (compute.cache_max_gb, or free disk space)"


def _stacked(rows: Iterator[tuple[int, np.ndarray]], count: int) -> np.ndarray:
    """Return numbered rows as one array [count, *shape]; they are copied into it one by one."""
    number, first = next(rows)
    array = np.empty((count, *first.shape), first.dtype)
    array[number] = first
    for number, feature in rows:
        array[number] = feature
    return array


def _missing(parts: Sequence[_Part], keys: Sequence[str], waiting: Callable[[], None]) -> np.ndarray:
    """Return the indices of the rows that a part lacks, in the cache of any process, int64 [M]."""
    return np.flatnonzero(any_of(_lacking(parts, keys), waiting))


def _lacking(parts: Sequence[_Part], keys: Sequence[str]) -> np.ndarray:
    """Return True for each row that a part lacks, bool [N]."""
    return np.any([part.look_up(keys) for part in parts], axis=0)


def _keys(split: Split, views: Views | None) -> list[str]:
    """Return the keys of a split's rows: all views of the first image, then of the next."""
    return [f"{sha256}:{view}" for sha256 in split.sha256s for view in range(views_per_image(views))]
