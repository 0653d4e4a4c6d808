"""Local copies of remote objects in the cache: a tree of files with the names of the objects.

CACHE/remote/objects.sqlite            version and size of every listed object
CACHE/remote/SCHEME/BUCKET/…           its copy; empty until the object is fetched

The tree has the shape of the remote one, so that a folder is listed as a local one is. A copy is written under a
temporary name and renamed, and its size is recorded: a file of another size is not a copy. If an object changes, its
copy is emptied, then the new version is recorded; so a crash in between repeats the first step.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import sqlite3
import threading
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from transfercli.data.cache.segments import make_private_folder
from transfercli.data.image import FileState
from transfercli.data.remote.store import RemoteFile
from transfercli.io.addresses import COPIES, local_copy
from transfercli.io.atomic import write_errors
from transfercli.io.file_lock import plain_lock

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    path TEXT PRIMARY KEY, version TEXT, size INTEGER, stored INTEGER, used REAL) WITHOUT ROWID;
"""
_KEYS_PER_QUERY = 500
_DATABASE = "objects.sqlite"
FREE_SHARE = 0.9  # of the free disk space that copies may take
TEMPORARY = ".part"  # end of the name of a file that is being written
USERS = ".users"  # file that processes with an open mirror share a lock on


class Mirror:
    """Local copies below a cache folder; usable from several threads and processes."""

    def __init__(self, cache: Path) -> None:
        self.cache, self.root = cache, cache / COPIES
        with write_errors(cache):
            make_private_folder(cache)
            self.root.mkdir(mode=0o700, exist_ok=True)
            self._users = os.open(self.root / USERS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._users, fcntl.LOCK_SH)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(
            self.root / _DATABASE, timeout=60, isolation_level=None, check_same_thread=False
        )
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the database, and let the copies be cleared."""
        with self._lock:
            self._database.close()
        os.close(self._users)

    def record(self, folder: str | None, found: Iterable[RemoteFile]) -> list[str]:
        """Record what a server has; empty the copies that changed, and remove those that it lacks below a folder.

        folder: address that was listed as a whole; None if `found` are single objects. Returns the addresses that no
        file can be named like.
        """
        unnamed, listed = [], dict[str, RemoteFile]()
        for file in found:
            try:
                listed[self._key(local_copy(file.address, self.cache))] = file
            except ValueError:
                unnamed.append(file.address)
        with plain_lock(self.root / ".lock"), write_errors(self.root):
            known = self._below(folder) if folder else self._rows([*listed])
            changed = [
                key for key, file in listed.items() if not file.version or known.get(key) != (file.version, file.size)
            ]
            changed += [key for key in listed.keys() - {*changed} if not (self.root / key).is_file()]
            for key in known.keys() - listed.keys() if folder else ():
                self._remove(key)
            rows = []
            for key in changed:
                if self._empty(self.root / key):
                    rows.append((key, listed[key].version, listed[key].size, time.time()))
                else:
                    unnamed.append(listed[key].address)
            with self._transaction() as database:
                database.executemany("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, NULL, ?)", rows)
        return unnamed

    def versions(self, files: Sequence[str]) -> dict[str, RemoteFile]:
        """Return size and version of each recorded copy, by its path; the address is not filled in."""
        rows = self._rows([self._key(Path(file)) for file in files])
        found = {str(self.root / key): RemoteFile("", size, version) for key, (version, size) in rows.items()}
        return {file: found[file] for file in files if file in found}

    def states(self, files: Sequence[str]) -> dict[str, FileState]:
        """Return the state of each recorded object: it changes with the version, not with the copy."""
        return {file: _state(found) for file, found in self.versions(files).items() if found.version}

    def missing(self, files: Sequence[str]) -> list[str]:
        """Return the files whose content is not here."""
        keys = {self._key(Path(file)): file for file in files}
        sizes = dict[str, int]()
        for part in _parts([*keys]):
            query = f"SELECT path, coalesce(stored, size) FROM objects WHERE path IN ({', '.join('?' * len(part))})"
            with self._lock:
                sizes |= dict(self._database.execute(query, part).fetchall())
        return [file for key, file in keys.items() if _size(file) != sizes.get(key) or sizes[key] < 0]

    @contextlib.contextmanager
    def writing(self, file: str) -> Iterator[Path]:
        """Yield a temporary file that becomes the copy at the end of the block."""
        path = Path(file)
        temporary = path.with_name(f".{uuid.uuid4().hex}{TEMPORARY}")
        try:
            with write_errors(path.parent):
                path.parent.mkdir(parents=True, exist_ok=True)
                yield temporary
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def stored(self, sizes: Mapping[str, int]) -> None:
        """Record the size in bytes of copies that were written."""
        rows = [(size, time.time(), self._key(Path(file))) for file, size in sizes.items()]
        with self._transaction() as database:
            database.executemany("UPDATE objects SET stored = ?, used = ? WHERE path = ?", rows)

    def forget(self, files: Iterable[str]) -> None:
        """Remove the copies of objects that do not exist any more."""
        for file in files:
            self._remove(self._key(Path(file)))

    def total(self) -> int:
        """Return the bytes of all recorded copies."""
        with self._lock:
            row: tuple[int | None] = self._database.execute("SELECT sum(stored) FROM objects").fetchone()
        return row[0] or 0

    def free(self) -> int:
        """Return the bytes that further copies may take of the disk."""
        return int(FREE_SHARE * shutil.disk_usage(self.cache).free)

    def make_room(self, most: int, kept: Collection[str] = ()) -> None:
        """Empty the copies that were fetched first, until all have at most `most` bytes; those in `kept` stay."""
        total = self.total()
        if total <= most:
            return
        in_use = {self._key(Path(file)) for file in kept}
        with self._lock:
            query = "SELECT path, stored FROM objects WHERE stored > 0 ORDER BY used, path"
            rows = self._database.execute(query).fetchall()
        emptied = []
        for key, size in rows:
            if total <= most:
                break
            if key not in in_use and self._empty(self.root / key):
                emptied.append((key,))
                total -= size
        with self._transaction() as database:
            database.executemany("UPDATE objects SET stored = NULL WHERE path = ?", emptied)

    def _empty(self, path: Path) -> bool:
        """Replace a copy by an empty file. Return False if a folder has this name, or a file the name of a folder."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                return False
            with self.writing(str(path)) as temporary:
                temporary.touch()
        except (FileExistsError, NotADirectoryError):
            return False
        return True

    def _remove(self, key: str) -> None:
        path = self.root / key
        path.unlink(missing_ok=True)
        with self._transaction() as database:
            database.execute("DELETE FROM objects WHERE path = ?", (key,))
        with contextlib.suppress(OSError):  # not empty
            for folder in path.parents:
                if folder == self.root:
                    break
                folder.rmdir()

    def _key(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _below(self, folder: str) -> dict[str, tuple[str, int]]:
        start = f"{self._key(local_copy(folder, self.cache))}/"
        query = "SELECT path, version, size FROM objects WHERE path >= ? AND path < ?"
        with self._lock:
            rows = self._database.execute(query, (start, f"{start[:-1]}0")).fetchall()  # 0 follows / in every encoding
        return {path: (version, size) for path, version, size in rows}

    def _rows(self, keys: Sequence[str]) -> dict[str, tuple[str, int]]:
        rows = list[tuple[str, str, int]]()
        for part in _parts(keys):
            query = f"SELECT path, version, size FROM objects WHERE path IN ({', '.join('?' * len(part))})"
            with self._lock:
                rows += self._database.execute(query, part).fetchall()
        return {path: (version, size) for path, version, size in rows}

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")


def _parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    return (keys[start : start + _KEYS_PER_QUERY] for start in range(0, len(keys), _KEYS_PER_QUERY))


def _size(file: str) -> int:
    try:
        return os.stat(file).st_size  # noqa: PTH116 - building a Path for many files takes longer than the call
    except OSError:
        return -1


def _state(file: RemoteFile) -> FileState:
    """Return a state made of the version: three numbers of 63 bits beside the size."""
    digest = hashlib.sha256(f"{file.size}:{file.version}".encode()).digest()
    numbers = [int.from_bytes(digest[start : start + 8], "big") >> 1 for start in (0, 8, 16)]
    return FileState(file.size, *numbers)
