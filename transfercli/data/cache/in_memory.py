"""Decoded pixels for this process only: with `compute.cache: off`, or if the cache folder cannot be used."""

from __future__ import annotations

import io
import mmap
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from transfercli.data.cache.images import entry_of, pixel_space
from transfercli.data.cache.index import Entry
from transfercli.data.cache.segments import checksum
from transfercli.data.image import Decoded, FileState, Geometry
from transfercli.io.atomic import write_errors


class MemoryCache:
    """Unnamed temporary file, mapped into memory; the kernel removes it when the process ends."""

    def __init__(self, geometry: Geometry) -> None:
        self.space, self.trouble = pixel_space(geometry), ""
        self._entries: dict[str, Entry] = {}
        self._count = 0
        self._view: np.ndarray | None = None
        try:
            self._file: io.IOBase | tempfile._TemporaryFileWrapper[bytes] = tempfile.TemporaryFile(  # noqa: SIM115
                prefix="transfercli-"
            )
        except OSError:
            self._file = io.BytesIO()

    def known(self, files: Sequence[tuple[str, FileState]]) -> list[str | None]:
        return [None] * len(files)

    def entries(self, keys: Sequence[str]) -> dict[str, Entry]:
        return {key: self._entries[key] for key in keys if key in self._entries}

    def entry(self, sha256: str) -> Entry | None:
        return self._entries.get(sha256)

    def add(self, decoded: Decoded) -> Entry:
        entry = entry_of(decoded)
        if decoded.pixels is not None:
            with write_errors(Path(tempfile.gettempdir())):
                self._file.write(np.ascontiguousarray(decoded.pixels).data)
            entry = replace(entry, segment="memory", row=self._count, checksum=checksum(decoded.pixels))
            self._count += 1
        self._entries[entry.sha256] = entry
        return entry

    def remember(self, file: str, decoded: Decoded) -> None:
        """Do nothing: no entry outlives the process."""

    def make_room(self, wanted: int) -> None:
        """Do nothing: only the disk limits the size."""

    def close(self) -> None:
        """Map the images into memory; none can be added after this."""
        if self._view is None and self._count:
            with write_errors(Path(tempfile.gettempdir())):
                self._file.flush()
            if isinstance(self._file, io.BytesIO):
                pixels = np.frombuffer(self._file.getbuffer(), np.uint8)
            else:
                size = self._count * self.space.row_bytes
                pixels = np.frombuffer(mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ), np.uint8)
                self._file.close()
            self._view = pixels.reshape(-1, *self.space.shape)
        elif self._view is None:
            self._file.close()

    def rows(self, segment: str) -> np.ndarray:
        if self._view is None:
            raise ValueError("no image was added")
        return self._view

    def release(self) -> None:
        """Do nothing: the rows are nowhere else."""

    def damaged(self, segment: str) -> None:
        """Do nothing: damaged rows are decoded again at each read."""
