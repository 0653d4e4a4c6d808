"""Remote images that a command is given by their address: one image, those of tar archives, or all below a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from transfercli.config.paths import ConfigPath, user_cache
from transfercli.data.archive_members import archive_of, is_archive
from transfercli.data.image import InputImage
from transfercli.data.remote.versions import check_versions, copy_of, fetch_now
from transfercli.data.sources.folders import IMAGE_EXTENSIONS, listed_file, walk
from transfercli.data.sources.storage.places import place_of, shards_of
from transfercli.data.sources.storage.shards import archives_in, images_in
from transfercli.errors import DataError
from transfercli.io.addresses import COPIES, address_of, local_copy, problem_of, scheme_of, without_secrets

_FETCHED = 256  # images that are fetched at once


def remote_images(address: str) -> Iterator[InputImage]:
    """Yield the image at an address, or those below a folder by name; each has the file of its local copy.

    An address that names no image is yielded with a problem. Raises `DataError` if the server does not answer.
    """
    cache = user_cache()
    try:
        local_copy(address, cache)
    except ValueError as error:
        yield InputImage(without_secrets(address), str(error))
        return
    if is_archive(address):
        yield from _images_of_archives(address)
        return
    single = PurePosixPath(address.partition("?")[0]).suffix.lower() in IMAGE_EXTENSIONS
    if single or scheme_of(address) in ("http", "https"):
        problem = problem_of(without_secrets(address))  # a signature is not stored
        yield from [InputImage(without_secrets(address), problem)] if problem else _fetched([copy_of(address, cache)])
        return
    if problem := problem_of(address):
        yield InputImage(without_secrets(address), problem)
        return
    try:
        folder = place_of(ConfigPath(address, Path(), cache), whole=False)
    except DataError as error:
        yield InputImage(address, error.message)
        return
    if archives_in(folder):
        yield from _images_of_archives(address)
        return
    listed = [(file, *listed_file(file)) for file in walk(folder)]
    images = [(file, problem) for file, problem, is_image in listed if is_image]
    yield from () if images else [InputImage(address, "no image in this folder")]
    for start in range(0, len(images), _FETCHED):
        part = images[start : start + _FETCHED]
        problems = {file: problem for file, problem in part if problem}
        yield from _fetched([file for file, _ in part if file not in problems])
        for file, problem in problems.items():
            yield InputImage(address_of(file, cache), problem)


def fetched_copies(files: list[str]) -> list[str]:
    """Return files after fetching those that are local copies in the user's cache; one that cannot be had stays empty.

    Raises `DataError` if a server does not answer.
    """
    cache = user_cache()
    copies = [file for file in files if Path(file).is_relative_to(cache / COPIES) and not archive_of(file)]
    if copies:
        fetch_now(copies, cache)
    return files


def _images_of_archives(address: str) -> Iterator[InputImage]:
    """Yield the images of the archives at an address, after fetching these."""
    cache = user_cache()
    if problem := problem_of(address):
        yield InputImage(without_secrets(address), problem)
        return
    try:
        files = [file for archive in shards_of(ConfigPath(address, Path(), cache)) for file in images_in(archive)]
    except DataError as error:
        yield InputImage(address, error.message)
        return
    yield from () if files else [InputImage(address, "no image in this archive")]
    for file in files:
        yield InputImage(address_of(file, cache), file=file)


def _fetched(files: list[str]) -> Iterator[InputImage]:
    """Yield images after fetching those that changed."""
    cache = user_cache()
    problems = check_versions(files, cache)
    problems |= fetch_now([file for file in files if file not in problems], cache)
    for file in files:
        yield InputImage(address_of(file, cache), problems.get(file, ""), file)
