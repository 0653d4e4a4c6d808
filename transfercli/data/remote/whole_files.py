"""Remote files that are kept whole while a command reads them, such as archives and tables: their room, then they."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from transfercli.data.remote.arrivals import no_wait
from transfercli.data.remote.mirror import Mirror
from transfercli.data.remote.versions import check_versions, fetch_now, held_archives, mirror_at
from transfercli.errors import DiskError
from transfercli.text import byte_size


def fetch_whole(
    files: Sequence[str], folder: Path, max_bytes: int, on_wait: Callable[[], None] = no_wait
) -> dict[str, str]:
    """Fetch the objects of local copies if there is room; return those that cannot be had, with reasons.

    Older copies give way before, except the archives that this process reads. Nothing is fetched if one file cannot be
    had.

    Args:
        folder: of the caches. max_bytes: `compute.cache_max_gb`, in bytes. on_wait: as in `check_versions`.

    Raises `DiskError` if there is no room, `DataError` if a server does not answer.
    """
    if problems := check_versions(files, folder, on_wait):
        return problems
    mirror = mirror_at(folder)
    if mirror.missing(files):
        _make_room(mirror, files, folder, max_bytes)
    return fetch_now(files, folder, on_wait)


def _make_room(mirror: Mirror, files: Sequence[str], folder: Path, max_bytes: int) -> None:
    held = {*files, *held_archives(folder)}
    sizes = {file: max(found.size, 0) for file, found in mirror.versions([*held]).items()}
    wanted, missing = sum(sizes.values()), sum(sizes.get(file, 0) for file in mirror.missing(files))
    if wanted > max_bytes:
        raise DiskError(
            f"the archives and tables of this command have {byte_size(wanted)}, and compute.cache_max_gb is"
            f" {max_bytes / 1e9:g} ({byte_size(max_bytes)})",
            f"set compute.cache_max_gb to at least {wanted / 1e9:.3g}, beside the decoded images, or read fewer files",
        )
    mirror.make_room(max_bytes - missing, held)
    free = mirror.free()
    if missing > free:
        mirror.make_room(mirror.total() - (missing - free), held)
        free = mirror.free()
    if missing > free:
        raise DiskError(
            f"{byte_size(missing)} are to be fetched, and the disk of the cache folder {str(folder)!r} has room for"
            f" {byte_size(free)}; nothing of them was fetched",
            "free disk space, or set compute.cache_dir to a folder on a larger disk",
        )
