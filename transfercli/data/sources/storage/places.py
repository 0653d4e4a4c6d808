"""Places of a config's data on this machine: a local path itself, or the local copy of what an address names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath

from transfercli.config.paths import TABLE_SUFFIXES, ConfigPath, base_of, cache_of, normalised_path
from transfercli.config.schema import ComputeConfig
from transfercli.data.archive_members import is_archive
from transfercli.data.remote.versions import list_folder
from transfercli.data.remote.whole_files import fetch_whole
from transfercli.data.sources.folders import IMAGE_EXTENSIONS, OTHER_IMAGES, is_hidden
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.data.sources.storage.shards import archives_in, expanded
from transfercli.errors import DataError, TransferError, UsageError
from transfercli.io.addresses import as_given, is_remote, local_copy, problem_of, with_addresses
from transfercli.reporting import Reporter
from transfercli.text import counted

_ANY = "*"  # in the name of archives


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
    return _fetched([str(path)], given, reporter)[0]


def shards_of(given: str, reporter: Reporter | None = None) -> list[Path]:
    """Return the archives that a config's value stands for, fetched if they are remote; none if it is something else.

    It is the path or address of one archive, of several in braces or by a pattern with `*`, or of a folder of archives.
    Raises `DataError` if one is missing, `DiskError` if there is no room for them.
    """
    if is_keras(given) or normalised_path(given).suffix.lower() in TABLE_SUFFIXES:
        return []
    if not is_archive(given):
        found = archives_in(place_of(given, reporter, whole=False))
        return _fetched([str(path) for path in found], given, reporter) if is_remote(given) else found
    cache, texts = cache_of(given), expanded(given)
    if not is_remote(given):
        return _existing(_matches([normalised_path(ConfigPath(text, base_of(given))) for text in texts]), given)
    for folder in dict.fromkeys(text.rpartition("/")[0] for text in texts if _ANY in text):
        list_folder(folder, cache, _needs_head, reporter or Reporter())
    return _fetched([str(path) for path in _matches([local_copy(text, cache) for text in texts])], given, reporter)


def given_place(given: Path, cache: Path, cache_max_gb: float, reporter: Reporter) -> Path:
    """Return the absolute path of data that the command line names, or of its local copy, brought to the present state.

    cache: folder of the caches. cache_max_gb: `compute.cache_max_gb`.

    Raises `UsageError` for an address with a secret or of another kind, `DataError` as `place_of`.
    """
    text = as_given(given)
    if not is_remote(text):
        return given.expanduser().absolute()
    if problem := problem_of(text):
        raise UsageError(problem, "give an address without a user, a password, a signature or a token")
    value = ConfigPath(text, Path(), cache, cache_max_gb)
    if not shards_of(value, reporter):
        place_of(value, reporter, whole=normalised_path(value).suffix.lower() in TABLE_SUFFIXES)
    return normalised_path(value)


@contextmanager
def addresses_in_errors(cache: Path) -> Iterator[None]:
    """Name remote files by their addresses, instead of by their local copies, in errors of the block."""
    try:
        yield
    except TransferError as error:
        error.message = with_addresses(error.message, cache)
        error.hint = with_addresses(error.hint, cache) if error.hint else None
        error.args = (error.message,)
        raise


def archives_at(path: Path) -> list[Path]:
    """Return the archives at a local path: itself, several in braces, or those in a folder; none if it has none."""
    if not is_archive(path):
        return archives_in(path)
    return _existing(_matches([Path(text) for text in expanded(str(path))]), str(path))


def _matches(paths: list[Path]) -> list[Path]:
    """Return the paths; instead of one whose name has a `*`, the files that match it. Raises `DataError` if none do."""
    found = list[Path]()
    for path in paths:
        matching = sorted(path.parent.glob(path.name)) if _ANY in path.name else [path]
        if not matching:
            raise DataError(f"{path.name!r} matches no archive in {str(path.parent)!r}", "correct the pattern")
        found += matching
    return found


def _existing(paths: list[Path], given: str) -> list[Path]:
    lacking = [path for path in paths if not path.is_file()]
    if len(lacking) == len(paths) == 1 and paths[0].is_dir():
        return []  # a folder whose name ends like that of an archive
    if lacking:
        raise DataError(
            f"{given!r}: {counted(len(lacking), 'archive')} of {len(paths)} missing, such as {str(lacking[0])!r}",
            "correct the path; braces stand for a range, as in train-{000000..000009}.tar",
        )
    return paths


def _fetched(files: list[str], given: str, reporter: Reporter | None) -> list[Path]:
    """Return the local copies of archives and tables after fetching what is not here. Raises as `shards_of`."""
    limit = given.cache_max_gb if isinstance(given, ConfigPath) else None
    max_bytes = int((ComputeConfig().cache_max_gb if limit is None else limit) * 1e9)
    on_wait = partial((reporter or Reporter()).progress, f"waiting for {counted(len(files), 'remote file')}", 0, 0, "")
    for reason in fetch_whole(files, cache_of(given), max_bytes, on_wait).values():
        raise DataError(reason, "check the address, and the permissions for reading it")
    return [Path(file) for file in files]


def _needs_head(file: str) -> bool:
    """Return True if the name of a file does not say if it is an image."""
    path = PurePosixPath(file)
    known = path.suffix.lower() in IMAGE_EXTENSIONS | OTHER_IMAGES or is_archive(path.name)
    return not is_hidden(path.name) and not known
