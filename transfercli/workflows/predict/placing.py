"""Placing of a file in a folder, as a link or as a copy, without replacing another one."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from transfercli.data.archive_members import archive_of, read_bytes
from transfercli.errors import UsageError
from transfercli.io.atomic import write_errors
from transfercli.io.checksum import file_sha256

LONGEST = 255  # bytes of a file name
_BLOCK = 1 << 20
# Errors of file systems without links of a kind, or across two of them.
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class Source:
    """File to place. file: its path; it may lie in an archive. how: a row of `WAYS`."""

    def __init__(self, file: str, how: str) -> None:
        self.file, self.how = file, how

    @property
    def name(self) -> str:
        """The name of the file, without its folder."""
        return os.path.basename(self.file)  # noqa: PTH119 - names need not be UTF-8

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the content."""
        if archive_of(self.file):
            return hashlib.sha256(read_bytes(self.file)).hexdigest()
        return file_sha256(Path(self.file))

    def is_at(self, place: Path) -> bool:
        """Return True if a place holds this file, or a file of the same content."""
        with suppress(OSError):
            if not archive_of(self.file):
                mine, other = Path(self.file).stat(), place.stat()
                if os.path.samestat(mine, other):
                    return True
                if mine.st_size != other.st_size:
                    return False
            return file_sha256(place) == self.sha256
        return False


def put(source: Source, folder: Path) -> bool:
    """Put a file into a folder under its name; with a part of its SHA-256 if another file has that name.

    Return False if it was there already. Raises `UsageError` if the file system cannot do so, `DiskError` if the disk
    is full.
    """
    for name in _names(source):
        place = folder / name
        if not os.path.lexists(place) and _placed(source, place):
            return True
        if source.is_at(place):
            return False
    raise UsageError(f"{str(folder / source.name)!r} and all names that stand in for it are taken", "name a new folder")


def _placed(source: Source, place: Path) -> bool:
    """Place a file, and return True; False if another process took the name meanwhile."""
    with write_errors(place):
        try:
            WAYS[source.how](source, place)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS or source.how == "copy":
                raise
            raise UsageError(
                f"a {source.how} to {source.file!r} cannot be made in {str(place.parent)!r}: {error.strerror}",
                "use --sort-as copy",
            ) from error
    return True


def _names(source: Source) -> Iterator[str]:
    """Yield the name of a file, then such with more and more of its SHA-256."""
    yield source.name
    stem, ending = os.path.splitext(source.name)  # noqa: PTH122
    for digits in (8, 16, 64):
        rest = f"-{source.sha256[:digits]}".encode() + os.fsencode(ending)
        yield os.fsdecode(os.fsencode(stem)[: LONGEST - len(rest)] + rest)


def _link(source: Source, place: Path) -> None:
    """Make a symbolic link with a relative target; only links to folders are resolved, not the file itself."""
    real = Path(os.path.realpath(Path(source.file).parent), Path(source.file).name)
    place.symlink_to(os.path.relpath(real, os.path.realpath(place.parent)))


def _hardlink(source: Source, place: Path) -> None:
    os.link(os.path.realpath(source.file), place)


def _copy(source: Source, place: Path) -> None:
    """Write a copy that has no name until it is whole, if the file system can do so; else under a hidden name."""
    try:
        handle = os.open(place.parent, os.O_TMPFILE | os.O_WRONLY, 0o666)
    except (OSError, AttributeError):
        temporary = place.with_name(f".{os.getpid()}.tmp")
        try:
            _fill(source, os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666))
            os.link(temporary, place)
        finally:
            temporary.unlink(missing_ok=True)
        return
    # With a handle, Python follows the link in /proc, as linkat(2) describes for such files.
    _fill(source, handle, lambda: os.link(f"/proc/self/fd/{handle}", place, src_dir_fd=handle))


def _fill(source: Source, handle: int, then: Callable[[], None] = lambda: None) -> None:
    """Write the content and the time of change of a file, call `then`, and close the handle."""
    with open(handle, "wb") as file:
        if archive := archive_of(source.file):
            file.write(read_bytes(source.file))
        else:
            with Path(source.file).open("rb") as original:
                shutil.copyfileobj(original, file, _BLOCK)
        file.flush()
        info = Path(archive or source.file).stat()
        os.utime(file.fileno(), ns=(info.st_atime_ns, info.st_mtime_ns))
        os.fsync(file.fileno())
        then()


# Ways to place a file, by their names on the command line.
WAYS: dict[str, Callable[[Source, Path], None]] = {"link": _link, "hardlink": _hardlink, "copy": _copy}
