"""The image cache: decoded pixels, found by the content of their files and shared by runs and experiments."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import platformdirs

from transfercli.config.paths import absolute_path
from transfercli.config.schema import ComputeConfig
from transfercli.data.cache.index import Entry, FileState
from transfercli.data.cache.segments import Segments, Space
from transfercli.data.image import Decoded, Geometry


class Store(Protocol):
    """Decoded pixels of one geometry: the shared cache, or memory of this process alone (scratch.py)."""

    space: Space
    trouble: str  # why what was added may not be found by the next process; "" where all is well

    def known(self, files: Sequence[FileState]) -> list[str | None]: ...
    def entries(self, keys: Sequence[str]) -> dict[str, Entry]: ...
    def entry(self, key: str) -> Entry | None: ...
    def add(self, decoded: Decoded) -> Entry: ...
    def remember(self, file: str, decoded: Decoded) -> None: ...
    def make_room(self, wanted: int) -> None: ...
    def close(self) -> None: ...
    def rows(self, segment: str) -> np.ndarray: ...
    def damaged(self, segment: str) -> None: ...


class DiskCache(Segments):
    """The shared cache, for one geometry; a row's key is the SHA-256 of the file it was decoded from."""

    def __init__(self, root: Path, geometry: Geometry, max_bytes: int) -> None:
        super().__init__(root, pixel_space(geometry), max_bytes)

    def known(self, files: Sequence[FileState]) -> list[str | None]:
        """The content hash of each file that has not changed since it was read."""
        return self.index.sha256s_of(files)

    def add(self, decoded: Decoded) -> Entry:
        """Append the pixels; the entry is good for this process at once, for others after `close`."""
        return self.append(described(decoded), decoded.pixels)

    def remember(self, file: str, decoded: Decoded) -> None:
        """From the next time on, an unchanged `file` need not be opened."""
        self._files.append((file, decoded.size, decoded.mtime_ns, decoded.sha256))


def pixel_space(geometry: Geometry) -> Space:
    """Decoded pixels, uint8 [height, width, 3]."""
    return Space(geometry.space, geometry.shape)


def described(decoded: Decoded) -> Entry:
    """What the index keeps of an outcome, its place apart."""
    return Entry(decoded.sha256, decoded.pixel_hash, decoded.width, decoded.height, decoded.problem)


def cache_root(compute: ComputeConfig) -> Path:
    """The folder of all caches: `compute.cache_dir`, else TRANSFERCLI_CACHE, else the user's cache folder."""
    if compute.cache_dir:
        return absolute_path(compute.cache_dir)
    folder = os.environ.get("TRANSFERCLI_CACHE") or platformdirs.user_cache_dir("transfercli")
    return Path(folder).expanduser().absolute()
