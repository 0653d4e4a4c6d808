"""Places of a config's data on this machine: a local path itself, or the local copy of what an address names."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from transfercli.config.paths import cache_of, normalised_path
from transfercli.data.remote.versions import check_versions, copy_of, fetch_now, list_folder
from transfercli.data.sources.folders import IMAGE_EXTENSIONS, OTHER_IMAGES, absolute, is_hidden, relative
from transfercli.errors import DataError
from transfercli.io.addresses import COPIES, address_of, is_loopback, is_remote, problem_of, without_secrets
from transfercli.reporting import Reporter

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def place_of(given: str, reporter: Reporter | None = None, *, whole: bool) -> Path:
    """Return the absolute path of a config's data; of an address, its local copy, brought to the present state.

    whole: True for a single file such as a table, which is fetched; else the files of a folder are listed, and fetched
        when they are read.

    Raises `DataError` if a server does not have it or does not answer.
    """
    path = normalised_path(given)
    if not is_remote(given):
        return path
    if not whole:
        list_folder(given.rstrip("/"), cache_of(given), _needs_head, reporter or Reporter())
        return path
    file, cache = str(path), cache_of(given)
    problems = check_versions([file], cache) or fetch_now([file], cache)
    if problems:
        raise DataError(problems[file], "check the address, and the permissions for reading it")
    return path


def _needs_head(file: str) -> bool:
    """Return True if the name of a file does not say if it is an image."""
    path = PurePosixPath(file)
    return not is_hidden(path.name) and path.suffix.lower() not in IMAGE_EXTENSIONS | OTHER_IMAGES


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
