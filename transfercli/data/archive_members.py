"""Files inside tar archives, read in place: `ARCHIVE.tar/NAME` is the path of such a file. Nothing is unpacked."""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from pathlib import Path

from transfercli.data.image import FileState
from transfercli.errors import DataError
from transfercli.io.tar_index import Member, TarError, members

ARCHIVE = ".tar"
_INSIDE = f"{ARCHIVE}{os.sep}"
_OPEN_INDEXES = 8  # kept in memory; images of one archive are read one after the other
_GZIP = b"\x1f\x8b"

Index = dict[str, Member]


def is_archive(name: str | Path) -> bool:
    """Return True if the name is that of a tar archive."""
    return str(name).endswith(ARCHIVE)


def archive_of(path: str) -> str:
    """Return the archive that holds a file, or "" for a file that is in none."""
    start = path.find(_INSIDE)
    while start >= 0:
        archive = path[: start + len(ARCHIVE)]
        if not os.path.isdir(archive):  # noqa: PTH112 - a folder may have such a name
            return archive
        start = path.find(_INSIDE, start + 1)
    return ""


def index_of(archive: str) -> Index:
    """Return the regular files of an archive by name, without a leading `./`.

    Raises `OSError`, or `DataError` if it is damaged or holds a name that leads out of it.
    """
    info = os.stat(archive)  # noqa: PTH116 - called for every file
    return _index(archive, info.st_size, info.st_mtime_ns, info.st_ino)


@lru_cache(_OPEN_INDEXES)
def _index(archive: str, *_: int) -> Index:
    found, name = Index(), Path(archive).name
    with Path(archive).open("rb") as file:
        try:
            for member in members(file):
                found[_safe(member.name, name)] = member
        except TarError as error:
            file.seek(0)
            packed = "; it is packed by gzip: unpack it" if file.read(2) == _GZIP else ""
            raise DataError(
                f"{name} cannot be read: {error}{packed}", "give tar archives as `tar -cf` makes them"
            ) from None
    return found


def _safe(name: str, archive: str) -> str:
    while name.startswith("./"):
        name = name[2:]
    if name.startswith("/") or not {"", ".", ".."}.isdisjoint(name.split("/")) or "\0" in name:
        raise DataError(
            f"{archive} holds a member named {name!r}, which leads out of the archive or is no name",
            "make the archive again with names such as 000001.jpg",
        )
    return name


def state_of(path: str) -> FileState:
    """Return the state of a file: of one in an archive, its size and the state of the archive. Raises `OSError`."""
    archive = archive_of(path)
    if not archive:
        return FileState.of(os.stat(path))  # noqa: PTH116 - building a Path for many files takes longer than the call
    return FileState.of(os.stat(archive))._replace(size=_member(path, archive).size)  # noqa: PTH116


def exists(path: str) -> bool:
    """Return True if there is such a file, or the archive that it is in; False for an impossible name."""
    return os.path.exists(path) or bool(archive_of(path))  # noqa: PTH110


def is_regular(path: str) -> bool:
    """Return True for a regular file, or one in an archive. Raises `OSError`."""
    archive = archive_of(path)
    return stat.S_ISREG(os.stat(archive or path).st_mode)  # noqa: PTH116 - as in `state_of`


def read_bytes(path: str, most: int = -1) -> bytes:
    """Return the content of a file, its first `most` bytes if that is not -1. Raises `OSError`."""
    archive = archive_of(path)
    with Path(archive or path).open("rb") as file:
        if not archive:
            return file.read(most)
        member = _member(path, archive)
        file.seek(member.start)
        return file.read(member.size if most < 0 else min(most, member.size))


def _member(path: str, archive: str) -> Member:
    """Return a member. Raises `FileNotFoundError` if the archive lacks it, `OSError` if it is damaged."""
    try:
        return index_of(archive)[path[len(archive) + 1 :]]
    except KeyError:
        raise FileNotFoundError(f"the archive has no file {path[len(archive) + 1 :]!r}") from None
    except DataError as error:
        raise OSError(error.message) from None
