"""The heads of many files: read once for each content, and then known from the cache's index."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from transfercli.data.cache.index import opened_index
from transfercli.data.quality.file_headers import Head, read_head
from transfercli.reporting import Reporter

_TOLD = 256


def heads_of(files: Sequence[tuple[str, str]], cache: Path | None, reporter: Reporter) -> list[Head]:
    """The head of each (file, SHA-256 of its content); "" is no file.

    Args:
        cache: the cache folder, or None. A content of which it holds the head is not opened.
    """
    heads: list[Head] = []
    fresh: dict[str, Head] = {}
    with opened_index(cache) as index:
        kept = index.heads([sha256 for _, sha256 in files]) if index else {}
        for number, (file, sha256) in enumerate(files, 1):
            known = kept.get(sha256)
            head = Head(*known) if known else fresh.get(sha256) or (read_head(file) if file else Head())
            if head.format and not known:
                fresh[sha256] = head
            heads.append(head)
            if number % _TOLD == 0 or number == len(files):
                reporter.progress("headers", number, len(files), "files")
        if index and fresh:
            with suppress(sqlite3.Error):
                index.add_heads([(sha256, head.format, head.pictures) for sha256, head in fresh.items()])
    return heads
