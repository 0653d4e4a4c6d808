"""`cache show` and `cache clear`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from transfercli.config.schema import ComputeConfig
from transfercli.data.cache.images import cache_root
from transfercli.data.cache.maintenance import ClearResult, Usage, clear, usage
from transfercli.data.cache.segments import KINDS


@dataclass(frozen=True)
class CacheContents:
    """The result of `cache show`; with `cleared` that of `cache clear`, and then the contents are what is left.

    Attributes:
        caches: size and number of rows of each kind of cache.
        limit: bytes that all of them may take.
    """

    folder: Path
    caches: dict[str, Usage]
    limit: int
    cleared: ClearResult | None = None

    @property
    def bytes(self) -> int:
        return sum(usage.bytes for usage in self.caches.values())

    @property
    def entries(self) -> int:
        """Number of rows."""
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


def show_caches(folder: Path | None) -> CacheContents:
    """Return the contents of the caches in `folder`, or in the one of runs whose config names no folder."""
    compute = ComputeConfig()
    root = folder.absolute() if folder else cache_root(compute)
    return CacheContents(root, {kind: usage(root, kind) for kind in KINDS}, int(compute.cache_max_gb * 1e9))


def clear_caches(folder: Path | None) -> CacheContents:
    """Empty the caches; return what is left and what was removed, in bytes."""
    cleared = clear(folder.absolute() if folder else cache_root(ComputeConfig()))
    return replace(show_caches(folder), cleared=cleared)
