"""Images that a table names: files beside it, or addresses; a remote table may not name files of this machine."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from transfercli.data.remote.versions import copy_of
from transfercli.data.sources.folders import absolute, relative
from transfercli.errors import DataError
from transfercli.io.addresses import COPIES, address_of, is_loopback, is_remote, problem_of, without_secrets

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def row_place(given: str, table: Path, base: Path, cache: Path, place: str) -> tuple[str, str]:
    """Return the absolute path of an image that a table names, and its name relative to `base`.

    An address stands for its local copy, and its name is the address without a signature. Raises `DataError` for an
    address that is not read, and if a remote table names a file that is not below its own folder.

    Args:
        cache: folder of the caches. place: table and line, for messages.
    """
    origin = _origin(table, cache)
    if is_remote(given):
        return _address_place(given, origin, base, cache, place)
    if origin and (_SCHEME.match(given) or PurePosixPath(given).is_absolute() or ".." in PurePosixPath(given).parts):
        raise DataError(
            f"{place}: {given!r} is not below the folder of {origin!r}; a table from a server may not name other files",
            "give paths below the folder of the table, or addresses",
        )
    file = absolute(given, table.parent)
    return file, relative(file, base)


def _address_place(given: str, origin: str, base: Path, cache: Path, place: str) -> tuple[str, str]:
    shown = without_secrets(given)
    problem = problem_of(shown)
    if origin and is_loopback(given) and not is_loopback(origin):
        problem = f"{shown!r} is an address of this machine, in a table from {origin!r}"
    try:
        file = copy_of(given, cache)
    except ValueError as error:
        problem = problem or str(error)
    if problem:
        raise DataError(
            f"{place}: {problem}", "give an address such as s3://BUCKET/image.jpg or https://HOST/image.jpg"
        )
    return file, relative(file, base) if Path(file).is_relative_to(base) else shown


def _origin(table: Path, cache: Path) -> str:
    """Return the address of a table that is a local copy, or ""."""
    return address_of(table, cache) if table.is_relative_to(cache / COPIES) else ""


def recorded_place(name: str, base: Path, cache: Path) -> str:
    """Return the absolute path of an image by its recorded name, relative to `base` or an address."""
    return copy_of(name, cache) if is_remote(name) else absolute(name, base)
