"""Merge of caches: rows that another cache folder has and this one lacks, each checked by its checksum.

Nothing is written to the other folder. Rows are copied as any process adds them, in whole segments, so a merge that is
killed leaves a sound cache, and goes on when it is started again.
"""

from __future__ import annotations

import math
import mmap
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from transfercli.data.cache.index import INDEX, Entry, Index
from transfercli.data.cache.segments import (
    KINDS,
    Segments,
    Space,
    checksum,
    lock_file,
    make_private_folder,
    segment_path,
)
from transfercli.errors import OutOfSpaceError, UsageError
from transfercli.io.file_lock import temporary_lock
from transfercli.reporting import Reporter
from transfercli.text import counted

# Names of spaces and segments become paths, and the other index may be anybody's.
SPACE_NAME = re.compile(rf"({'|'.join(KINDS)})/(?!\.)[\w.,+ -]{{1,200}}", re.ASCII)
SEGMENT_NAME = re.compile(r"[0-9a-f]{32}")
SIZES_TRIED = 1000  # of a row, if a segment is damaged
# Tables of facts on files and contents, which are rows of the same columns in every cache.
FACTS = ("file_states", "file_headers", "looks")


@dataclass(frozen=True, slots=True)
class Refused:
    """Part of another cache that was not taken. file: the segment, below the folder; rows: number of rows."""

    folder: Path
    file: str
    rows: int
    reason: str


@dataclass
class KindCounts:
    """Rows of one kind of cache: taken now, and known here before; bytes of those taken."""

    taken: int = 0
    known: int = 0
    bytes: int = 0


@dataclass
class MergeCounts:
    """Result of a merge: the rows of each kind, and what was refused."""

    kinds: dict[str, KindCounts] = field(default_factory=lambda: {kind: KindCounts() for kind in KINDS})
    refused: list[Refused] = field(default_factory=list)

    @property
    def taken(self) -> int:
        """Number of rows taken."""
        return sum(kind.taken for kind in self.kinds.values())

    @property
    def bytes(self) -> int:
        """Bytes of the rows taken."""
        return sum(kind.bytes for kind in self.kinds.values())

    def of(self, space: str) -> KindCounts:
        """Return the counts of the kind that a space is of."""
        return self.kinds[space.partition("/")[0]]


@dataclass(frozen=True, slots=True)
class Listed:
    """Segment in the index of another cache. size: in bytes, as recorded there."""

    name: str
    space: str
    size: int

    @property
    def file(self) -> str:
        """Its path below the folder of its cache."""
        return f"{self.space}/{self.name}.rows"


class OtherCache:
    """Cache in another folder, which is only read. Raises `UsageError` if the folder has no cache that can be read."""

    def __init__(self, folder: Path) -> None:
        self.folder, file = folder, folder / INDEX
        if not file.is_file():
            raise UsageError(f"{str(folder)!r} is no cache folder: it has no {INDEX}", "name the folders of caches")
        with self._reading():
            self.connection = sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True, timeout=60)
        self._tables = {name for (name,) in self._rows("SELECT name FROM sqlite_master")}  # earlier versions had fewer
        self.segments = [Listed(*row) for row in self._rows("SELECT name, space, bytes FROM segments ORDER BY 2, 1")]

    def close(self) -> None:
        self.connection.close()

    def entries(self, segment: Listed) -> list[Entry]:
        """Return the entries of a segment's rows, in their order."""
        notes, joined = "''", ""
        if "notes" in self._tables:
            notes, joined = "coalesce(notes, '')", "LEFT JOIN notes USING (space, key)"
        query = (
            f"SELECT entries.key, pixel_hash, width, height, problem, segment, place, checksum, {notes} "
            f"FROM entries {joined} WHERE space = ? AND segment = ? ORDER BY place"
        )
        return [Entry(*row) for row in self._rows(query, (segment.space, segment.name))]

    def problems(self) -> Iterator[tuple[str, Entry]]:
        """Yield (space, entry) of each content that has no row, such as a file that is no image, space by space."""
        query = "SELECT space, key, pixel_hash, width, height, problem FROM entries WHERE segment = '' ORDER BY space"
        return ((space, Entry(*row)) for space, *row in self._rows(query))

    def facts(self, table: str) -> Iterable[tuple[Any, ...]]:
        """Return the rows of a table of `FACTS`; none if an earlier version wrote no such table."""
        return self._rows(f"SELECT * FROM {table}") if table in self._tables else ()

    def _rows(self, query: str, values: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query."""
        with self._reading():
            yield from self.connection.execute(query, values)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Raise `UsageError` if the index cannot be opened, is damaged, or is locked by another process."""
        try:
            yield
        except sqlite3.Error as error:
            raise UsageError(
                f"the cache in {str(self.folder)!r} cannot be read: {error}",
                "merge the others without it; the same command as before fills a new one",
            ) from error


def merge(root: Path, folders: Sequence[Path], max_bytes: int, reporter: Reporter) -> MergeCounts:
    """Take the rows of the caches in `folders` into that in `root`, which then has at most `max_bytes`.

    A second merge at the same time waits for the first. Raises `UsageError` if a folder has no cache that can be read;
    `OutOfSpaceError` if the rows do not fit, of which those of earlier folders are kept.
    """
    counts = MergeCounts()
    with ExitStack() as stack:
        others = [stack.enter_context(closing(OtherCache(folder))) for folder in folders]
        make_private_folder(root)
        stack.enter_context(_alone(root, reporter))
        for other in others:
            _merge_one(root, other, max_bytes, counts, reporter)
    return counts


@contextmanager
def _alone(root: Path, reporter: Reporter) -> Iterator[None]:
    """Wait until no other process merges into the cache; on a file system without locks nobody waits."""

    def waiting() -> None:
        reporter.progress("waiting for another merge", 0, 0)

    with ExitStack() as stack:
        with suppress(UsageError):
            stack.enter_context(temporary_lock(root / ".merge.lock", "merging caches", math.inf, waiting))
        yield


def _merge_one(root: Path, other: OtherCache, max_bytes: int, counts: MergeCounts, reporter: Reporter) -> None:
    """Take the rows of one other cache that are new here, then its facts on files."""
    for number, segment in enumerate(other.segments, 1):
        _merge_segment(root, other, segment, max_bytes, counts)
        reporter.progress("merge", number, len(other.segments), "segments")
    with closing(Index(root)) as index:
        for space, pairs in groupby(other.problems(), itemgetter(0)):
            if SPACE_NAME.fullmatch(space):
                found = {entry.key: entry for _, entry in pairs}
                known = index.entries(space, list(found))
                index.add(space, ("", 0), [entry for key, entry in found.items() if key not in known], [])
        for table in FACTS:
            index.take(table, other.facts(table))


def _merge_segment(root: Path, other: OtherCache, segment: Listed, max_bytes: int, counts: MergeCounts) -> None:
    """Take the new rows of a segment whose checksums match, and note the others."""
    entries = other.entries(segment)
    try:
        if not SPACE_NAME.fullmatch(segment.space) or not SEGMENT_NAME.fullmatch(segment.name):
            raise ValueError("its name is not that of a segment")
        known = _known(root, segment.space, [entry.key for entry in entries])
        new = [entry for entry in entries if entry.key not in known]
        counts.of(segment.space).known += len(entries) - len(new)
        if not new:
            return
        content = _content(other.folder, segment)
        row_bytes = _row_bytes(content, entries)
    except (OSError, ValueError) as error:
        counts.refused.append(Refused(other.folder, segment.file, len(entries), str(error)))
        return
    with closing(Segments(root, Space(segment.space, (row_bytes,)), max_bytes)) as store:
        _make_room(store, other.folder, len(new) * row_bytes, counts)
        damaged = _copy(store, content.reshape(-1, row_bytes), new, counts)
    if damaged:
        reason = f"{counted(len(damaged), 'row')} with a wrong checksum, such as that of {damaged[0]}"
        counts.refused.append(Refused(other.folder, segment.file, len(damaged), reason))


def _known(root: Path, space: str, keys: Sequence[str]) -> dict[str, Entry]:
    """Return the entries of the keys whose rows are here and whole; their segments count as used now."""
    with closing(Segments(root, Space(space, (1,)), 0)) as store:
        return store.entries(keys)


def _content(folder: Path, segment: Listed) -> np.ndarray:
    """Return the bytes of a segment, mapped and locked. Raises `OSError` or `ValueError` if it is missing or cut."""
    with segment_path(folder, segment.space, segment.name).open("rb") as file:
        lock_file(file)
        content = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    if len(content) != segment.size:
        raise ValueError(f"it has {len(content)} bytes, and {segment.size} were written")
    return content


def _copy(store: Segments, rows: np.ndarray, entries: Sequence[Entry], counts: MergeCounts) -> list[str]:
    """Add the rows of entries, and return the keys of those that do not match their checksums."""
    damaged, kind = [], counts.of(store.space.name)
    for entry in entries:
        if entry.row >= len(rows) or checksum(rows[entry.row]) != entry.checksum:
            damaged.append(entry.key)
            continue
        store.append(replace(entry, segment="", row=0), rows[entry.row])
        kind.taken, kind.bytes = kind.taken + 1, kind.bytes + rows.shape[1]
    return damaged


def _make_room(store: Segments, folder: Path, wanted: int, counts: MergeCounts) -> None:
    """Evict what was used least recently, until the new rows fit.

    Raises `OutOfSpaceError` if they do not fit beside the rows that were taken before.
    """
    if counts.bytes + wanted > store.max_bytes:
        raise OutOfSpaceError(
            f"the cache may have {store.max_bytes / 1e9:g} GB, which the rows of {str(folder)!r} exceed; the"
            f" {counts.taken:,} rows taken so far are kept",
            "raise the limit with --max-gb, and compute.cache_max_gb in the configs that use the cache",
        )
    store.make_room(wanted)


def _row_bytes(content: np.ndarray, entries: Sequence[Entry]) -> int:
    """Return the size of a row, which no index records: the largest by which a row matches its checksum.

    Raises `ValueError` if no row does.
    """
    size, fewest = len(content), max(entry.row for entry in entries) + 1
    probes = [entries[0], entries[len(entries) // 2], entries[-1]]
    counts = (count for count in _divisors(size) if count >= fewest)
    for count in islice(counts, SIZES_TRIED):
        row = size // count
        if any(checksum(content[one.row * row : (one.row + 1) * row]) == one.checksum for one in probes):
            return row
    raise ValueError("no row matches its checksum")


def _divisors(number: int) -> list[int]:
    """Return all divisors of a number, in order."""
    low = [one for one in range(1, math.isqrt(number) + 1) if number % one == 0]
    return sorted({*low, *(number // one for one in low)})
