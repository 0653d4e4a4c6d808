"""Warning of a cache on a network disk, whose index is an SQLite file."""

from __future__ import annotations

from pathlib import Path

from transfercli.io.mounts import network_disk
from transfercli.reporting import Reporter

_warned: set[Path] = set()


def warn_of_network_disk(folder: Path, reporter: Reporter) -> None:
    """Warn once in this process of a cache folder on a network disk."""
    if folder in _warned or not (kind := network_disk(folder)):
        return
    _warned.add(folder)
    reporter.warning(
        f"the cache folder {str(folder)!r} is on a network disk ({kind}), where processes of several hosts can damage"
        " its SQLite index: give each host a folder on a disk of its own (compute.cache_dir or TRANSFERCLI_CACHE), and"
        " join them with transfercli cache merge DIR…"
    )
