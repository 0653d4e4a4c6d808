"""What many images look like: computed once for each content, and then known from the cache's index."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from transfercli.data.cache.images import pixel_space
from transfercli.data.cache.index import Entry, opened_index
from transfercli.data.image import Geometry
from transfercli.data.quality.near_duplicates import LOOK, VERSION, Looks, look_at, without_bars
from transfercli.reporting import Reporter
from transfercli.rows import Rows

ROWS = 64  # images looked at together: memory stays flat


def looks_of(
    images: Rows, entries: Sequence[Entry], geometry: Geometry, cache: Path | None, reporter: Reporter
) -> Looks:
    """The looks of each image, in order.

    Args:
        entries: of the images; their pixels are read where the looks of their content are not known.
        cache: the cache folder, or None.
    """
    looks, space = np.zeros(len(entries), LOOK), pixel_space(geometry).name
    keys = [entry.key for entry in entries]
    with opened_index(cache) as index:
        known = index.looks(space, VERSION, keys) if index else {}
        for row, key in enumerate(keys):
            if key in known:
                looks[row] = np.frombuffer(known[key], LOOK)[0]
        missing = np.array([row for row, key in enumerate(keys) if key not in known], np.int64)
        for start in range(0, len(missing), ROWS):
            rows = missing[start : start + ROWS]
            sizes = [(entries[row].width, entries[row].height) for row in rows]
            pixels = images.read(rows)
            looks[rows] = look_at([without_bars(p, geometry, *size) for p, size in zip(pixels, sizes, strict=True)])
            reporter.progress("look", len(entries) - len(missing) + start + len(rows), len(entries))
        if index and len(missing):
            with suppress(sqlite3.Error):
                index.add_looks(space, VERSION, {keys[row]: looks[row].tobytes() for row in missing})
    return looks
