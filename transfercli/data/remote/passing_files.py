"""Remote files that are read one after the other: each part is fetched once older copies have made room for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from transfercli.data.remote.arrivals import AHEAD_BYTES, AHEAD_FILES, no_wait, room_for
from transfercli.data.remote.versions import check_versions, fetch_now, held_archives, mirror_at


def fetch_passing(
    files: Sequence[str], folder: Path, max_bytes: int, on_wait: Callable[[], None] = no_wait
) -> Iterator[tuple[str, str]]:
    """Fetch the objects of local copies, and yield each copy, in order, with the reason if it cannot be had, or "".

    They are fetched in parts. The copies of a part stay until the next part is fetched; then the oldest give way.

    Args:
        folder: of the caches. max_bytes: `compute.cache_max_gb`, in bytes. on_wait: as in `check_versions`.

    Raises `DataError` if a server does not answer.
    """
    mirror, problems = mirror_at(folder), check_versions(files, folder, on_wait)
    sizes = {file: max(found.size, 0) for file, found in mirror.versions(files).items()}
    for part in _parts(files, sizes):
        wanted = mirror.missing([file for file in part if file not in problems])
        if wanted:
            room = room_for(mirror, max_bytes) - sum(sizes.get(file, 0) for file in wanted)
            mirror.make_room(room, {*part, *held_archives(folder)})
            problems |= fetch_now(wanted, folder, on_wait)
        yield from ((file, problems.get(file, "")) for file in part)


def _parts(files: Sequence[str], sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Yield files in parts of at most `AHEAD_FILES` and `AHEAD_BYTES`, or of one larger file."""
    part, total = list[str](), 0
    for file in files:
        size = sizes.get(file, 0)
        if part and (len(part) == AHEAD_FILES or total + size > AHEAD_BYTES):
            yield part
            part, total = [], 0
        part.append(file)
        total += size
    if part:
        yield part
