"""Workflow of `cache show`, `cache clear` and `cache merge`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from transfercli.config.schema import ComputeConfig
from transfercli.data.cache.images import cache_root
from transfercli.data.cache.maintenance import ClearResult, Usage, clear, usage, usage_errors
from transfercli.data.cache.merge import MergeCounts, merge
from transfercli.data.cache.network_disk import warn_of_network_disk
from transfercli.data.cache.segments import KINDS
from transfercli.data.remote import copies
from transfercli.errors import UsageError
from transfercli.io.addresses import COPIES
from transfercli.reporting import Reporter


@dataclass(frozen=True)
class CacheContents:
    """Result of `cache show`, and with `cleared` of `cache clear`: the contents of the caches after the command.

    Attributes:
        caches: size and number of rows of each kind of cache, and of files that are copies of remote ones.
        limit: largest size of all caches together, in bytes.
        cleared: bytes that were freed, and bytes in use that were not; None for `cache show`.
    """

    folder: Path
    caches: dict[str, Usage]
    limit: int
    cleared: ClearResult | None = None

    @property
    def bytes(self) -> int:
        """Size of all caches."""
        return sum(usage.bytes for usage in self.caches.values())

    @property
    def entries(self) -> int:
        """Number of rows of all caches."""
        return sum(usage.entries for usage in self.caches.values())

    def as_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "bytes": self.bytes,
            "entries": self.entries,
            "limit": self.limit,
            "caches": {name: asdict(usage) for name, usage in self.caches.items()},
            **(asdict(self.cleared) if self.cleared else {}),
        }


@dataclass(frozen=True)
class MergedCaches:
    """Result of `cache merge`: the folder that took rows, those that it took them from, and the numbers of rows."""

    folder: Path
    sources: tuple[Path, ...]
    counts: MergeCounts

    def as_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "from": [str(source) for source in self.sources],
            "taken": self.counts.taken,
            "known": sum(kind.known for kind in self.counts.kinds.values()),
            "bytes": self.counts.bytes,
            "caches": {name: asdict(kind) for name, kind in self.counts.kinds.items()},
            "refused": [asdict(one) | {"folder": str(one.folder)} for one in self.counts.refused],
        }


def merge_caches(
    folder: Path | None, sources: Sequence[Path], max_gb: float | None, reporter: Reporter
) -> MergedCaches:
    """Take the rows of other caches into that in `folder`; None stands for the default of `compute.cache_dir`.

    max_gb: its largest size; None: the default of `compute.cache_max_gb`. What is damaged is left out, with a warning:
    a training makes it again. Raises `UsageError` if a folder has no cache that can be read, or is the cache itself.
    """
    compute = ComputeConfig()
    root = folder.absolute() if folder else cache_root(compute)
    if same := [source for source in sources if os.path.realpath(source) == os.path.realpath(root)]:
        raise UsageError(f"{str(same[0])!r} is the cache that takes the rows", "name other folders, or another --dir")
    warn_of_network_disk(root, reporter)
    limit = int((compute.cache_max_gb if max_gb is None else max_gb) * 1e9)
    with usage_errors(root):
        counts = merge(root, sources, limit, reporter)
    for one in counts.refused:
        reporter.warning(f"{one.folder / one.file}: not taken: {one.reason}")
    return MergedCaches(root, tuple(sources), counts)


def show_caches(folder: Path | None) -> CacheContents:
    """Return the contents of the caches in `folder`; None stands for the default of `compute.cache_dir`."""
    compute = ComputeConfig()
    root = folder.absolute() if folder else cache_root(compute)
    found = {kind: usage(root, kind) for kind in KINDS}
    if (root / COPIES).exists():
        found[COPIES] = copies.usage(root)
    return CacheContents(root, found, int(compute.cache_max_gb * 1e9))


def clear_caches(folder: Path | None) -> CacheContents:
    """Remove cached data that no process uses; return the remaining contents and the number of bytes freed."""
    root = folder.absolute() if folder else cache_root(ComputeConfig())
    rows, files = clear(root), copies.clear(root)
    cleared = ClearResult(rows.freed + files.freed, rows.in_use + files.in_use)
    return replace(show_caches(folder), cleared=cleared)
