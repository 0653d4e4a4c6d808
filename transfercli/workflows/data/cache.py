"""Workflow of `cache show` and `cache clear`."""

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
    """Result of `cache show`, and with `cleared` of `cache clear`: the contents of the caches after the command.

    Attributes:
        caches: size and number of rows of each kind of cache.
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


def show_caches(folder: Path | None) -> CacheContents:
    """Return the contents of the caches in `folder`; None stands for the default of `compute.cache_dir`."""
    compute = ComputeConfig()
    root = folder.absolute() if folder else cache_root(compute)
    return CacheContents(root, {kind: usage(root, kind) for kind in KINDS}, int(compute.cache_max_gb * 1e9))


def clear_caches(folder: Path | None) -> CacheContents:
    """Remove cached data that no process uses; return the remaining contents and the number of bytes freed."""
    cleared = clear(folder.absolute() if folder else cache_root(ComputeConfig()))
    return replace(show_caches(folder), cleared=cleared)
