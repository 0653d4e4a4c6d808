"""Index of the caches: the content hash of each file, and the segment and row of each content.

It is one SQLite file, written in short transactions, so that several processes can use it at the same time. It holds
absolute paths of the user's files and is in a folder that only this user can enter. A damaged index is deleted, and the
images are read again.
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

from transfercli.data.image import FileState

# Tables of earlier versions (`files`, `heads`, `headers`) stay: an older process that shares the cache may use them.
SCHEMA = """
CREATE TABLE IF NOT EXISTS file_states (
    path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER, sha256 TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS segments (name TEXT PRIMARY KEY, space TEXT, bytes INTEGER, used REAL);
CREATE TABLE IF NOT EXISTS entries (
    space TEXT, key TEXT, pixel_hash TEXT, width INTEGER, height INTEGER, problem TEXT,
    segment TEXT, place INTEGER, checksum INTEGER, PRIMARY KEY (space, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entries_of_segment ON entries (segment);
CREATE TABLE IF NOT EXISTS notes (space TEXT, key TEXT, notes TEXT, PRIMARY KEY (space, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS file_headers (
    sha256 TEXT PRIMARY KEY, format TEXT, pictures TEXT, damage TEXT, moment TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS looks (
    space TEXT, key TEXT, version INTEGER, look BLOB, PRIMARY KEY (space, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS users (space TEXT, run BLOB, PRIMARY KEY (space, run)) WITHOUT ROWID;
"""
INDEX = "index.sqlite"
_LOCK_SECONDS = 60
_KEYS_PER_QUERY = 500  # one query per key is several times slower

FileRow = tuple[str, FileState, str]  # path, state, SHA-256 of the content


@dataclass(frozen=True, slots=True)
class Entry:
    """Index entry of a content in one space.

    Attributes:
        key: key of the row; for pixels, the SHA-256 of the file's bytes.
        pixel_hash: hash of the decoded pixels; width, height: size in pixels of the upright original.
        problem: why the file is not usable, or "".
        segment: name of the segment that holds the row; "" if there is a problem.
        row: number of the row in the segment.
        checksum: CRC-32 of the row's bytes.
        notes: words on what the decoder did (`Decoded.notes`).
    """

    key: str
    pixel_hash: str = ""
    width: int = 0
    height: int = 0
    problem: str = ""
    segment: str = ""
    row: int = 0
    checksum: int = 0
    notes: str = ""

    @property
    def sha256(self) -> str:
        """The key, for pixels: SHA-256 of the file's bytes."""
        return self.key


class Index:
    """Index in a cache folder. Raises `sqlite3.Error` or `OSError` if it cannot be opened."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / INDEX
        try:
            self.connection = self._open()
        except sqlite3.DatabaseError as error:
            self._recreate(error)

    def _recreate(self, error: sqlite3.DatabaseError) -> None:
        """Delete and recreate a damaged index; re-raise other errors (locked, read-only, disk full)."""
        if isinstance(error, sqlite3.OperationalError):
            raise error
        if hasattr(self, "connection"):
            self.connection.close()
        self.file.unlink(missing_ok=True)
        self.connection = self._open()

    def _rows(self, query: str, fixed: Sequence[Any], keys: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query whose `{}` is a list of keys, after the `fixed` values; some keys per query."""
        for start in range(0, len(keys), _KEYS_PER_QUERY):
            part = keys[start : start + _KEYS_PER_QUERY]
            try:
                yield from self.connection.execute(query.format(", ".join("?" * len(part))), (*fixed, *part)).fetchall()
            except sqlite3.DatabaseError as error:
                self._recreate(error)

    def _open(self) -> sqlite3.Connection:
        # Readable for this user only. An existing index is not opened here: closing it would release SQLite's locks.
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

    def sha256s_of(self, files: Sequence[tuple[str, FileState]]) -> list[str | None]:
        """Return the SHA-256 of each file that is unchanged since it was read, else None."""
        query = "SELECT path, size, mtime_ns, ctime_ns, inode, sha256 FROM file_states WHERE path IN ({})"
        states = [(os.fsencode(path), *state) for path, state in files]
        known = {row[:-1]: row[-1] for row in self._rows(query, (), [state[0] for state in states])}
        return [known.get(state) for state in states]

    def entries(self, space: str, keys: Sequence[str]) -> dict[str, Entry]:
        """Return the entry of each known key."""
        query = (
            "SELECT key, pixel_hash, width, height, problem, segment, place, checksum, coalesce(notes, '') "
            "FROM entries LEFT JOIN notes USING (space, key) WHERE space = ? AND key IN ({})"
        )
        return {key: Entry(key, *rest) for key, *rest in self._rows(query, (space,), keys)}

    def add(self, space: str, segment: tuple[str, int], entries: list[Entry], files: list[FileRow]) -> None:
        """Add the results of a pass in one transaction.

        Args:
            segment: name and size in bytes of a segment under its final name; the name is "" if there are only
                problems.
            files: (path, state, sha256).
        """
        name, size = segment
        rows = [
            (space, e.key, e.pixel_hash, e.width, e.height, e.problem, e.segment, e.row, e.checksum) for e in entries
        ]
        encoded = [(os.fsencode(path), *state, sha256) for path, state, sha256 in files]
        with self._transaction():
            if name:
                self.connection.execute("INSERT INTO segments VALUES (?, ?, ?, ?)", (name, space, size, time.time()))
            self.connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            notes = [(space, entry.key, entry.notes) for entry in entries if entry.notes]
            self.connection.executemany("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", notes)
            self.connection.executemany("INSERT OR REPLACE INTO file_states VALUES (?, ?, ?, ?, ?, ?)", encoded)

    def headers(self, sha256s: Sequence[str]) -> dict[str, tuple[str, str, str, str]]:
        """Return SHA-256 -> (format, number of pictures in words, damage, moment) of each known content."""
        query = "SELECT sha256, format, pictures, damage, moment FROM file_headers WHERE sha256 IN ({})"
        return {sha256: (kind, *others) for sha256, kind, *others in self._rows(query, (), sha256s)}

    def add_headers(self, rows: list[tuple[str, str, str, str, str]]) -> None:
        """Store file headers: (sha256, format, pictures, damage, moment)."""
        with self._transaction():
            self.connection.executemany("INSERT OR REPLACE INTO file_headers VALUES (?, ?, ?, ?, ?)", rows)

    def fingerprints(self, space: str, version: int, keys: Sequence[str]) -> dict[str, bytes]:
        """Return key -> fingerprint of each known image of a space."""
        query = "SELECT key, look FROM looks WHERE space = ? AND version = ? AND key IN ({})"
        return dict(self._rows(query, (space, version), keys))

    def add_fingerprints(self, space: str, version: int, fingerprints: Mapping[str, bytes]) -> None:
        """Store fingerprints: key -> bytes."""
        with self._transaction():
            self.connection.executemany(
                "INSERT OR REPLACE INTO looks VALUES (?, ?, ?, ?)",
                [(space, key, version, content) for key, content in fingerprints.items()],
            )

    def take(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add rows of a table of another index that this one lacks. Raises `sqlite3.Error` if they have other columns.

        table: `file_states`, `file_headers` or `looks`.
        """
        columns = len(self.connection.execute(f"PRAGMA table_info({table})").fetchall())
        with self._transaction():
            marks = ", ".join("?" * columns)
            self.connection.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", rows)

    def segments(self) -> list[tuple[str, str, int]]:
        """Return (name, space, bytes) of each segment, the least recently used first."""
        query = "SELECT name, space, bytes FROM segments ORDER BY used, name"
        try:
            return self.connection.execute(query).fetchall()
        except sqlite3.DatabaseError as error:
            self._recreate(error)
            return []

    def add_user(self, space: str, run: Path) -> None:
        """Note that the run in a folder uses a space."""
        with self._transaction():
            self.connection.execute("INSERT OR IGNORE INTO users VALUES (?, ?)", (space, os.fsencode(run)))

    def abandoned(self) -> set[str]:
        """Return the spaces that runs have used whose folders are all gone: no run has their weights any more."""
        exists: dict[str, bool] = {}
        for space, run in self.connection.execute("SELECT space, run FROM users").fetchall():
            exists[space] = exists.get(space, False) or Path(os.fsdecode(run)).exists()
        return {space for space, any_exists in exists.items() if not any_exists}

    def touch(self, names: Iterable[str]) -> None:
        """Set the time of last use of segments to now."""
        now = time.time()
        with self._transaction():
            self.connection.executemany("UPDATE segments SET used = ? WHERE name = ?", [(now, name) for name in names])

    def forget(self, name: str) -> None:
        """Delete a segment with its rows and fingerprints; its file can then be deleted."""
        rows = "SELECT space, key FROM entries WHERE segment = ?"
        with self._transaction():
            for table in ("looks", "notes"):
                self.connection.execute(f"DELETE FROM {table} WHERE (space, key) IN ({rows})", (name,))
            self.connection.execute("DELETE FROM entries WHERE segment = ?", (name,))
            self.connection.execute("DELETE FROM segments WHERE name = ?", (name,))
            self.connection.execute("DELETE FROM users WHERE space NOT IN (SELECT space FROM segments)")

    def count(self, kind: str) -> int:
        """Return the number of rows in all spaces of a kind."""
        query = "SELECT count(*) FROM entries WHERE segment <> '' AND substr(space, 1, ?) = ?"
        row: tuple[int] = self.connection.execute(query, (len(kind) + 1, f"{kind}/")).fetchone()
        return row[0]

    def forget_orphans(self) -> None:
        """Delete entries of files and contents without pixels, and free the disk space."""
        with self._transaction():
            self.connection.execute("DELETE FROM entries WHERE segment NOT IN (SELECT name FROM segments)")
            for table in ("looks", "notes"):
                self.connection.execute(
                    f"DELETE FROM {table} WHERE (space, key) NOT IN (SELECT space, key FROM entries)"
                )
            for table in ("file_states", "file_headers"):
                self.connection.execute(f"DELETE FROM {table} WHERE sha256 NOT IN (SELECT key FROM entries)")
        with contextlib.suppress(sqlite3.OperationalError):  # another process is reading; the space is reused later
            self.connection.execute("VACUUM")

    def _transaction(self) -> _Transaction:
        return _Transaction(self.connection)


@contextlib.contextmanager
def open_index(folder: Path | None) -> Iterator[Index | None]:
    """Yield the index of a cache folder, or None if there is no folder or it cannot be opened."""
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
    """Transaction that waits for other writers at its start (BEGIN IMMEDIATE), so that no lock fails it later."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __enter__(self) -> None:
        self.connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *rest: object) -> None:
        self.connection.execute("COMMIT" if kind is None else "ROLLBACK")
