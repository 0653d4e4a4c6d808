"""Present versions of remote objects: folders are listed as a whole, single objects asked for many at a time.

A process asks for the same object once; what it has asked is `refreshed` when a data set is listed anew.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from transfercli.data.archive_members import is_archive
from transfercli.data.remote.arrivals import CONNECTIONS, POLL_SECONDS, Arrivals, if_main, no_wait
from transfercli.data.remote.mirror import Mirror
from transfercli.data.remote.retries import with_retries
from transfercli.data.remote.store import NAMES_PER_PAGE, MissingError, RemoteError, RemoteFile
from transfercli.data.remote.stores import store_of
from transfercli.errors import DataError
from transfercli.io.addresses import address_of, local_copy
from transfercli.reporting import Reporter
from transfercli.text import counted, first_of

T = TypeVar("T")


HEAD_BYTES = 4096  # as many as file_formats.py looks at
_LISTED = 3

_signed: dict[str, str] = {}  # local copy -> address with a signature, in this process alone
_known: set[str] = set()  # addresses of folders, and local copies, that this process has asked for


@cache
def mirror_at(folder: Path) -> Mirror:
    """Return the local copies in a cache folder, opened once in a process."""
    return Mirror(folder)


def refreshed() -> None:
    """Let the next question for every object go to its server again."""
    _known.clear()


def held_archives(folder: Path) -> list[str]:
    """Return the archives that this process has asked for and that are here, which must not give way."""
    asked = [file for file in _known if is_archive(file) and Path(file).is_relative_to(folder)]
    lacking = {*mirror_at(folder).missing(asked)}
    return [file for file in asked if file not in lacking]


def copy_of(address: str, folder: Path) -> str:
    """Return the local copy of an address in a table; its signature is kept in memory, for this process.

    Raises `ValueError` if no file can be named like it.
    """
    file = str(local_copy(address, folder))
    _signed[file] = address
    return file


def address_for(file: str, folder: Path) -> str:
    """Return the address that a local copy is fetched from, with its signature if it has one."""
    return _signed.get(file) or address_of(file, folder)


def list_folder(address: str, folder: Path, needs_head: Callable[[str], bool], reporter: Reporter) -> None:
    """Give the local copies of a remote folder the shape that it has at present; their content is fetched later.

    needs_head: returns True for the name of a file whose first bytes say if it is an image; they are fetched.

    Raises `DataError` if the folder cannot be listed, or holds nothing.
    """
    if address in _known:
        return
    mirror = mirror_at(folder)
    try:
        found = with_retries(lambda: [*store_of(address).files_below(address)])
    except RemoteError as error:
        raise DataError(error.reason, error.hint) from None
    if not found:
        raise DataError(
            f"{address} holds no objects", "check the spelling of bucket and path, which are case-sensitive"
        )
    unnamed = mirror.record(address, found)
    if unnamed:
        reporter.warning(
            f"{counted(len(unnamed), 'object')} left out, with names that no file can have:"
            f" {first_of(unnamed, _LISTED, written=repr)}"
        )
    left_out = {*unnamed}
    files = {str(local_copy(file.address, folder)): file for file in found if file.address not in left_out}
    _known.update(files, [address])
    heads = [file for file in mirror.missing([*files]) if needs_head(file) and not Path(file).stat().st_size]
    _in_parallel(partial(_fetch_head, mirror), [(file, files[file]) for file in heads if files[file].size])


def check_versions(files: Sequence[str], folder: Path, on_wait: Callable[[], None] = no_wait) -> dict[str, str]:
    """Record the present versions of the objects of local copies, and return those that cannot be had, with reasons.

    on_wait: called about 5 times a second, in the main thread alone; may raise to stop. Raises `DataError` if a server
    does not answer.
    """
    mirror, problems = mirror_at(folder), dict[str, str]()
    asked = [file for file in dict.fromkeys(files) if file not in _known]
    groups = defaultdict[str, list[str]](list)
    for file in asked:
        groups[file.rpartition("/")[0]].append(file)
    large = [group for group in groups.items() if len(group[1]) >= NAMES_PER_PAGE]
    listed: dict[str, RemoteFile] = {}
    for found in _in_parallel(partial(_listed_in, folder), large, on_wait):
        listed |= found
    single = [file for file in asked if file not in listed]
    answers = _in_parallel(partial(_present, folder), [(file,) for file in single], on_wait)
    mirror.record(None, [*listed.values(), *(answer for answer in answers if isinstance(answer, RemoteFile))])
    gone = [file for file, answer in zip(single, answers, strict=True) if isinstance(answer, MissingError)]
    mirror.forget(gone)
    for file, answer in zip(single, answers, strict=True):
        if isinstance(answer, RemoteError):
            problems[file] = answer.reason
    _known.update(asked)
    return problems


def fetch_now(files: Sequence[str], folder: Path, on_wait: Callable[[], None] = no_wait) -> dict[str, str]:
    """Fetch the objects of local copies whose versions are recorded; return those that cannot be had, with reasons.

    The caller makes room before. on_wait: as in `check_versions`. Raises `DataError` if a server does not answer.
    """
    address = partial(address_for, folder=folder)
    with closing(Arrivals(mirror_at(folder), files, {*files}, address, sys.maxsize, on_wait)) as arrivals:
        for _, file in arrivals:
            arrivals.used(file)
    return arrivals.problems


def _listed_in(folder: Path, parent: str, files: Sequence[str]) -> dict[str, RemoteFile]:
    """Return those objects of one folder that a listing shows; none if it cannot be listed, though they may be read."""
    address, copies = address_of(parent, folder), {file.rpartition("/")[2]: file for file in files}
    try:
        found = with_retries(lambda: [*store_of(address).named_in(address, copies)])
    except RemoteError as error:
        if error.may_pass:
            raise
        return {}
    return {copies[file.address.rpartition("/")[2]]: file for file in found}


def _present(folder: Path, file: str) -> RemoteFile | RemoteError:
    address = address_for(file, folder)
    try:
        return with_retries(lambda: store_of(address).file_at(address))
    except RemoteError as error:
        if error.may_pass:
            raise
        return error


def _fetch_head(mirror: Mirror, file: str, known: RemoteFile) -> None:
    """Write the first bytes of an object; the file is a copy only if that is all of it."""
    size = min(known.size, HEAD_BYTES) if known.size >= 0 else HEAD_BYTES
    content = with_retries(lambda: next(iter(store_of(known.address).read(known.address, 0, size)), b""))
    with mirror.writing(file) as temporary:
        temporary.write_bytes(content[:size])


def _in_parallel(
    work: Callable[..., T], arguments: Sequence[tuple[Any, ...]], on_wait: Callable[[], None] = no_wait
) -> list[T]:
    """Return the results of calls in order. Raises `DataError` if a server does not answer."""
    threads, results = ThreadPoolExecutor(CONNECTIONS, "ask"), list[T]()
    try:
        for future in [threads.submit(work, *values) for values in arguments]:
            while not wait([future], POLL_SECONDS).done:
                if_main(on_wait)
            results.append(future.result())
            if_main(on_wait)
    except RemoteError as error:
        raise DataError(error.reason, error.hint) from None
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
    return results
