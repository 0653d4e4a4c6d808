"""Fingerprints of many images, kept in the cache's index so that each content is computed once."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from transfercli.data.cache.images import pixel_space
from transfercli.data.cache.index import Entry, open_index
from transfercli.data.image import Geometry
from transfercli.data.quality.near_duplicates import FINGERPRINT, VERSION, Fingerprints, crop_padding, fingerprints_of
from transfercli.reporting import Reporter
from transfercli.rows import Rows

ROWS = 64  # images per step, which bounds memory


def load_fingerprints(
    images: Rows, entries: Sequence[Entry], geometry: Geometry, cache: Path | None, reporter: Reporter
) -> Fingerprints:
    """Return the fingerprint of each image.

    Args:
        entries: cache entry of each image; its pixels are read if the fingerprint is not in the index.
        cache: the cache folder, or None.
    """
    fingerprints, space = np.zeros(len(entries), FINGERPRINT), pixel_space(geometry).name
    keys = [entry.key for entry in entries]
    with open_index(cache) as index:
        known = index.fingerprints(space, VERSION, keys) if index else {}
        for row, key in enumerate(keys):
            if key in known:
                fingerprints[row] = np.frombuffer(known[key], FINGERPRINT)[0]
        missing = np.array([row for row, key in enumerate(keys) if key not in known], np.int64)
        for start in range(0, len(missing), ROWS):
            rows = missing[start : start + ROWS]
            sizes = [(entries[row].width, entries[row].height) for row in rows]
            pixels = images.read(rows)
            fingerprints[rows] = fingerprints_of(
                [crop_padding(p, geometry, *size) for p, size in zip(pixels, sizes, strict=True)]
            )
            reporter.progress("fingerprints", len(entries) - len(missing) + start + len(rows), len(entries))
        if index and len(missing):
            with suppress(sqlite3.Error):
                index.add_fingerprints(space, VERSION, {keys[row]: fingerprints[row].tobytes() for row in missing})
    return fingerprints
