"""Remote images that a command is given by their address: one image, those of tar archives, or all below a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from transfercli.config.paths import ConfigPath, user_cache
from transfercli.config.schema import ComputeConfig
from transfercli.data.archive_members import archive_of, is_archive
from transfercli.data.image import InputImage
from transfercli.data.remote.passing_files import fetch_passing
from transfercli.data.remote.versions import copy_of, fetch_now, mirror_at
from transfercli.data.sources.folders import IMAGE_EXTENSIONS, listed_file, walk
from transfercli.data.sources.storage.places import place_of, shards_of
from transfercli.data.sources.storage.shards import archives_in, images_in
from transfercli.errors import DataError
from transfercli.io.addresses import COPIES, address_of, local_copy, problem_of, scheme_of, without_secrets
from transfercli.reporting import Reporter
from transfercli.text import counted

_FETCHED = 256  # images that are fetched at once


def remote_images(address: str, reporter: Reporter | None = None) -> Iterator[InputImage]:
    """Yield the image at an address, or those below a folder by name; each has the file of its local copy.

    An address that names no image is yielded with a problem. A copy is there until some hundred further images were
    taken; then it may give way to others, and `fetched_copies` fetches it again.

    reporter: reports transfers, and may stop them; None in another thread than the main one.

    Raises `DataError` if the server does not answer.
    """
    cache, reporter = user_cache(), reporter or Reporter()
    try:
        local_copy(address, cache)
    except ValueError as error:
        yield InputImage(without_secrets(address), str(error))
        return
    if is_archive(address):
        yield from _images_of_archives(address, reporter)
        return
    single = PurePosixPath(address.partition("?")[0]).suffix.lower() in IMAGE_EXTENSIONS
    if single or scheme_of(address) in ("http", "https"):
        problem = problem_of(without_secrets(address))  # a signature is not stored
        if problem:
            yield InputImage(without_secrets(address), problem)
        else:
            yield from _fetched([copy_of(address, cache)], reporter)
        return
    if problem := problem_of(address):
        yield InputImage(without_secrets(address), problem)
        return
    try:
        folder = place_of(ConfigPath(address, Path(), cache), reporter, whole=False)
    except DataError as error:
        yield InputImage(address, error.message)
        return
    if archives_in(folder):
        yield from _images_of_archives(address, reporter)
        return
    listed = [(file, *listed_file(file)) for file in walk(folder)]
    images = [(file, problem) for file, problem, is_image in listed if is_image]
    yield from () if images else [InputImage(address, "no image in this folder")]
    for start in range(0, len(images), _FETCHED):
        part = images[start : start + _FETCHED]
        problems = {file: problem for file, problem in part if problem}
        yield from _fetched([file for file, _ in part if file not in problems], reporter)
        for file, problem in problems.items():
            yield InputImage(address_of(file, cache), problem)


def fetched_copies(files: list[str], reporter: Reporter) -> list[str]:
    """Return files after fetching those that are local copies in the user's cache; one that cannot be had stays empty.

    Raises `DataError` if a server does not answer.
    """
    if copies := _copies(files):
        fetch_now(copies, user_cache(), _waiting(copies, reporter))
    return files


def lacking_copies(files: list[str]) -> list[str]:
    """Return those of the files that are local copies in the user's cache and had to give way to others."""
    copies = _copies(files)
    return mirror_at(user_cache()).missing(copies) if copies else []


def _copies(files: list[str]) -> list[str]:
    folder = user_cache() / COPIES
    return [file for file in files if Path(file).is_relative_to(folder) and not archive_of(file)]


def _images_of_archives(address: str, reporter: Reporter) -> Iterator[InputImage]:
    """Yield the images of the archives at an address, after fetching these."""
    cache = user_cache()
    if problem := problem_of(address):
        yield InputImage(without_secrets(address), problem)
        return
    try:
        files = [
            file for archive in shards_of(ConfigPath(address, Path(), cache), reporter) for file in images_in(archive)
        ]
    except DataError as error:
        yield InputImage(address, error.message)
        return
    yield from () if files else [InputImage(address, "no image in this archive")]
    for file in files:
        yield InputImage(address_of(file, cache), file=file)


def _fetched(files: list[str], reporter: Reporter) -> Iterator[InputImage]:
    """Yield images after fetching those that changed; copies of earlier ones may give way."""
    cache, max_bytes = user_cache(), int(ComputeConfig().cache_max_gb * 1e9)
    for file, problem in fetch_passing(files, cache, max_bytes, _waiting(files, reporter)):
        yield InputImage(address_of(file, cache), problem, file)


def _waiting(files: list[str], reporter: Reporter) -> Callable[[], None]:
    return partial(reporter.progress, f"waiting for {counted(len(files), 'remote file')}", 0, 0, "")
