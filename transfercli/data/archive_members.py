"""Images inside other files, read in place; nothing is unpacked.

`ARCHIVE.tar/NAME` is the path of a file in a tar archive, `TABLE.parquet/COLUMN/ROW` that of a cell in a Parquet file.
"""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from pathlib import Path

from transfercli.config.paths import ARCHIVE_SUFFIXES
from transfercli.data.image import FileState
from transfercli.errors import DataError
from transfercli.io import parquet_cells
from transfercli.io.tar_index import Member, TarError, members

PARQUET = ".parquet"
_INSIDE = tuple(f"{suffix}{os.sep}" for suffix in ARCHIVE_SUFFIXES)
_OPEN_INDEXES = 8  # kept in memory; images of one archive are read one after the other
_GZIP = b"\x1f\x8b"

Index = dict[str, Member]


def is_archive(name: str | Path) -> bool:
    """Return True for the path or address of a tar archive or a Parquet file, or of several: `train-{000..009}.tar`."""
    return str(name).endswith(ARCHIVE_SUFFIXES)


def is_parquet(name: str | Path) -> bool:
    """Return True if the name is that of a Parquet file."""
    return str(name).endswith(PARQUET)


def parquet_member(file: str, column: str, row: int) -> str:
    """Return the path of an image in a Parquet file; paths sort as rows do."""
    return f"{file}/{column}/{row:09}"


def archive_of(path: str) -> str:
    """Return the archive that holds a file, or "" for a file that is in none."""
    for inside in _INSIDE:
        start = path.find(inside)
        while start >= 0:
            archive = path[: start + len(inside) - 1]
            if not os.path.isdir(archive):  # noqa: PTH112 - a folder may have such a name
                return archive
            start = path.find(inside, start + 1)
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
    """Return the state of a file: of one in an archive, its size and the state of the archive. Raises `OSError`.

    The size of an image in a Parquet file is the mean one: that of a cell is known once it is read.
    """
    archive = archive_of(path)
    if not archive:
        return FileState.of(os.stat(path))  # noqa: PTH116 - building a Path for many files takes longer than the call
    if is_parquet(archive):
        info = os.stat(archive)  # noqa: PTH116
        return FileState.of(info)._replace(size=max(1, info.st_size // max(1, _index_of_parquet(archive).rows)))
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
    if is_parquet(archive):
        column, _, row = path[len(archive) + 1 :].rpartition("/")
        content = parquet_cells.cell(archive, column, int(row) if row.isdecimal() else -1)
        return content if most < 0 else content[:most]
    with Path(archive or path).open("rb") as file:
        if not archive:
            return file.read(most)
        member = _member(path, archive)
        file.seek(member.start)
        return file.read(member.size if most < 0 else min(most, member.size))


def _index_of_parquet(file: str) -> parquet_cells.ParquetIndex:
    """Return the description of a Parquet file. Raises `OSError`, also if it is damaged."""
    try:
        return parquet_cells.index_of(file)
    except parquet_cells.ParquetError as error:
        raise OSError(str(error)) from None


def _member(path: str, archive: str) -> Member:
    """Return a member. Raises `FileNotFoundError` if the archive lacks it, `OSError` if it is damaged."""
    try:
        return index_of(archive)[path[len(archive) + 1 :]]
    except KeyError:
        raise FileNotFoundError(f"the archive has no file {path[len(archive) + 1 :]!r}") from None
    except DataError as error:
        raise OSError(error.message) from None
