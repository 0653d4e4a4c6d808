"""Image cache: decoded pixels by the hash of their file, shared by runs and experiments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from transfercli.config.paths import absolute_path, user_cache
from transfercli.config.schema import ComputeConfig
from transfercli.data.cache.index import Entry
from transfercli.data.cache.segments import Segments, Space
from transfercli.data.image import Decoded, FileState, Geometry


class Store(Protocol):
    """Store of decoded pixels of one geometry: the shared cache, or this process's memory (in_memory.py)."""

    space: Space
    trouble: str  # why added images may be unavailable to other processes, or ""

    def known(self, files: Sequence[tuple[str, FileState]]) -> list[str | None]: ...
    def entries(self, keys: Sequence[str]) -> dict[str, Entry]: ...
    def entry(self, key: str) -> Entry | None: ...
    def add(self, decoded: Decoded) -> Entry: ...
    def remember(self, file: str, decoded: Decoded) -> None: ...
    def make_room(self, wanted: int) -> None: ...
    def close(self) -> None: ...
    def rows(self, segment: str) -> np.ndarray: ...
    def damaged(self, segment: str) -> None: ...
    def release(self) -> None: ...


class DiskCache(Segments):
    """Shared cache on disk for one geometry; the key of a row is the SHA-256 of its file."""

    def __init__(self, root: Path, geometry: Geometry, max_bytes: int) -> None:
        super().__init__(root, pixel_space(geometry), max_bytes)

    def known(self, files: Sequence[tuple[str, FileState]]) -> list[str | None]:
        """Return the SHA-256 of each file that is unchanged since it was read, else None."""
        return self.index.sha256s_of(files)

    def add(self, decoded: Decoded) -> Entry:
        """Append the pixels; the entry is usable in this process at once, in others after `close`."""
        return self.append(entry_of(decoded), decoded.pixels)

    def remember(self, file: str, decoded: Decoded) -> None:
        """Record the file's state, so that it is not opened again while unchanged."""
        self._files.append((file, decoded.state, decoded.sha256))


def pixel_space(geometry: Geometry) -> Space:
    """Return the cache space for decoded pixels, uint8 [height, width, 3]."""
    return Space(geometry.space, geometry.shape)


def entry_of(decoded: Decoded) -> Entry:
    """Return the index entry of a decoded file, without its location."""
    return Entry(
        decoded.sha256, decoded.pixel_hash, decoded.width, decoded.height, decoded.problem, notes=decoded.notes
    )


def cache_root(compute: ComputeConfig) -> Path:
    """Return the folder of all caches: `compute.cache_dir`, TRANSFERCLI_CACHE, or the user's cache folder."""
    return absolute_path(compute.cache_dir) if compute.cache_dir else user_cache()
