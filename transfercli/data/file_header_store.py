"""File headers of many files, kept in the cache's index so that each content is read once."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path

from transfercli.data.cache.index import open_index
from transfercli.data.quality.file_headers import FileHeader, read_header
from transfercli.reporting import Reporter

_REPORT_EVERY = 256  # files


def load_headers(files: Sequence[tuple[str, str]], cache: Path | None, reporter: Reporter) -> list[FileHeader]:
    """Return the header of each file.

    Args:
        files: (path, SHA-256 of the content); the path is "" for images that are not files.
        cache: the cache folder, or None. A file whose header is in its index is not opened.
    """
    headers: list[FileHeader] = []
    new: dict[str, FileHeader] = {}
    with open_index(cache) as index:
        stored = index.headers([sha256 for _, sha256 in files]) if index else {}
        for number, (file, sha256) in enumerate(files, 1):
            known = stored.get(sha256)
            header = FileHeader(*known) if known else new.get(sha256) or (read_header(file) if file else FileHeader())
            if header.format and not known:
                new[sha256] = header
            headers.append(header)
            if number % _REPORT_EVERY == 0 or number == len(files):
                reporter.progress("headers", number, len(files), "files")
        if index and new:
            with suppress(sqlite3.Error):
                index.add_headers([(sha256, *astuple(header)) for sha256, header in new.items()])
    return headers
