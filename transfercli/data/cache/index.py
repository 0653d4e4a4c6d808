"""The caches' book-keeping: which file had which content, and where the rows of a content stand.

One SQLite file, written in short transactions, so that several processes can use it at once. It holds absolute
paths of the user's files and lies in a folder that only this user can enter. Nothing here is precious: a damaged
index is thrown away, and the images are read again.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, sha256 TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS segments (name TEXT PRIMARY KEY, space TEXT, bytes INTEGER, used REAL);
CREATE TABLE IF NOT EXISTS entries (
    space TEXT, key TEXT, pixel_hash TEXT, width INTEGER, height INTEGER, problem TEXT,
    segment TEXT, place INTEGER, checksum INTEGER, PRIMARY KEY (space, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entries_of_segment ON entries (segment);
CREATE TABLE IF NOT EXISTS heads (sha256 TEXT PRIMARY KEY, format TEXT, pictures TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS looks (
    space TEXT, key TEXT, version INTEGER, look BLOB, PRIMARY KEY (space, key)) WITHOUT ROWID;
"""
INDEX = "index.sqlite"
_LOCK_SECONDS = 60
_TOGETHER = 500  # keys a query asks for: one query a key costs several times as much

FileState = tuple[str, int, int]  # path, size, mtime_ns
FileRow = tuple[str, int, int, str]  # and the SHA-256 of the content


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a content in one space; `segment` is "" where there is a problem.

    Attributes:
        key: what the row is found by: for pixels the SHA-256 of the file's bytes, which `sha256` says too.
        place: row in the segment.
        checksum: CRC-32 of the row's bytes.
    """

    key: str
    pixel_hash: str = ""
    width: int = 0
    height: int = 0
    problem: str = ""
    segment: str = ""
    place: int = 0
    checksum: int = 0

    @property
    def sha256(self) -> str:
        return self.key


class Index:
    """Open the index in `folder`; raises `sqlite3.Error` or OSError where that cannot be done."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / INDEX
        try:
            self.connection = self._open()
        except sqlite3.DatabaseError as error:
            self._begin_anew(error)

    def _begin_anew(self, error: sqlite3.DatabaseError) -> None:
        """Throw a damaged index away; other errors (locked, read-only, no room) are raised as they are."""
        if isinstance(error, sqlite3.OperationalError):
            raise error
        if hasattr(self, "connection"):
            self.connection.close()
        self.file.unlink(missing_ok=True)
        self.connection = self._open()

    def _rows(self, query: str, fixed: Sequence[Any], keys: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """The rows of a query for `fixed` values and then `{}`, a list of keys; some keys at a time."""
        for start in range(0, len(keys), _TOGETHER):
            some = keys[start : start + _TOGETHER]
            try:
                yield from self.connection.execute(query.format(", ".join("?" * len(some))), (*fixed, *some)).fetchall()
            except sqlite3.DatabaseError as error:
                self._begin_anew(error)

    def _open(self) -> sqlite3.Connection:
        # For this user alone, whatever the folder allows. Closing an index that is there would end SQLite's locks.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self.file, os.O_CREAT | os.O_EXCL, 0o600))
        connection = sqlite3.connect(self.file, timeout=_LOCK_SECONDS, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        self.connection.close()

    def sha256s_of(self, files: Sequence[FileState]) -> list[str | None]:
        """The content hash of each file that has not changed since it was read."""
        query = "SELECT path, size, mtime_ns, sha256 FROM files WHERE path IN ({})"
        states = [(os.fsencode(path), size, mtime_ns) for path, size, mtime_ns in files]
        known = {row[:3]: row[3] for row in self._rows(query, (), [path for path, _, _ in states])}
        return [known.get(state) for state in states]

    def entries(self, space: str, keys: Sequence[str]) -> dict[str, Entry]:
        """What is known under each key."""
        query = (
            "SELECT key, pixel_hash, width, height, problem, segment, place, checksum FROM entries "
            "WHERE space = ? AND key IN ({})"
        )
        return {key: Entry(key, *rest) for key, *rest in self._rows(query, (space,), keys)}

    def add(self, space: str, segment: tuple[str, int], entries: list[Entry], files: list[FileRow]) -> None:
        """Make everything of a pass known at once.

        Args:
            segment: name and bytes of a segment that lies in its final place; "" where there are only problems.
            files: (path, size, mtime_ns, sha256).
        """
        name, size = segment
        rows = [
            (space, e.key, e.pixel_hash, e.width, e.height, e.problem, e.segment, e.place, e.checksum) for e in entries
        ]
        encoded = [(os.fsencode(path), size, mtime, sha256) for path, size, mtime, sha256 in files]
        with self._transaction():
            if name:
                self.connection.execute("INSERT INTO segments VALUES (?, ?, ?, ?)", (name, space, size, time.time()))
            self.connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            self.connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", encoded)

    def heads(self, sha256s: Sequence[str]) -> dict[str, tuple[str, str]]:
        """The format of each known content and how many pictures it has, in words."""
        query = "SELECT sha256, format, pictures FROM heads WHERE sha256 IN ({})"
        return {sha256: (kind, pictures) for sha256, kind, pictures in self._rows(query, (), sha256s)}

    def add_heads(self, rows: list[tuple[str, str, str]]) -> None:
        """rows: (sha256, format, pictures)."""
        with self._transaction():
            self.connection.executemany("INSERT OR REPLACE INTO heads VALUES (?, ?, ?)", rows)

    def looks(self, space: str, version: int, keys: Sequence[str]) -> dict[str, bytes]:
        """What the images of a space look like, as far as that is known."""
        query = "SELECT key, look FROM looks WHERE space = ? AND version = ? AND key IN ({})"
        return dict(self._rows(query, (space, version), keys))

    def add_looks(self, space: str, version: int, looks: Mapping[str, bytes]) -> None:
        with self._transaction():
            self.connection.executemany(
                "INSERT OR REPLACE INTO looks VALUES (?, ?, ?, ?)",
                [(space, key, version, look) for key, look in looks.items()],
            )

    def segments(self) -> list[tuple[str, str, int]]:
        """(name, space, bytes), the one used longest ago first."""
        return self.connection.execute("SELECT name, space, bytes FROM segments ORDER BY used, name").fetchall()

    def touch(self, names: Iterable[str]) -> None:
        now = time.time()
        with self._transaction():
            self.connection.executemany("UPDATE segments SET used = ? WHERE name = ?", [(now, name) for name in names])

    def forget(self, name: str) -> None:
        """Drop a segment, its rows and what they look like; its file may then go."""
        rows = "SELECT space, key FROM entries WHERE segment = ?"
        with self._transaction():
            self.connection.execute(f"DELETE FROM looks WHERE (space, key) IN ({rows})", (name,))
            self.connection.execute("DELETE FROM entries WHERE segment = ?", (name,))
            self.connection.execute("DELETE FROM segments WHERE name = ?", (name,))

    def count(self, kind: str) -> int:
        """Rows that are there, of all spaces of a kind."""
        query = "SELECT count(*) FROM entries WHERE segment <> '' AND substr(space, 1, ?) = ?"
        found: tuple[int] = self.connection.execute(query, (len(kind) + 1, f"{kind}/")).fetchone()
        return found[0]

    def forget_orphans(self) -> None:
        """Drop everything that is known of files and contents without pixels, and give the space back."""
        with self._transaction():
            self.connection.execute("DELETE FROM entries WHERE segment NOT IN (SELECT name FROM segments)")
            self.connection.execute("DELETE FROM looks WHERE (space, key) NOT IN (SELECT space, key FROM entries)")
            for table in ("files", "heads"):
                self.connection.execute(f"DELETE FROM {table} WHERE sha256 NOT IN (SELECT key FROM entries)")
        with contextlib.suppress(sqlite3.OperationalError):  # another process is reading: the space is used again
            self.connection.execute("VACUUM")

    def _transaction(self) -> _Transaction:
        return _Transaction(self.connection)


@contextlib.contextmanager
def opened_index(folder: Path | None) -> Iterator[Index | None]:
    """The index of a cache folder, or None: what cannot be looked up is made, and what cannot be kept is made again."""
    try:
        index = Index(folder) if folder else None
    except (OSError, sqlite3.Error):
        index = None
    try:
        yield index
    finally:
        if index:
            index.close()


class _Transaction:
    """BEGIN IMMEDIATE: wait for other writers at the start, never fail with a lock half way."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __enter__(self) -> None:
        self.connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *rest: object) -> None:
        self.connection.execute("COMMIT" if kind is None else "ROLLBACK")
