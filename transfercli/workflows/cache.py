"""`cache show` and `cache clear`: every cache is a row of one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transfercli.config.schema import ComputeConfig
from transfercli.data.cache import cache_root
from transfercli.data.cache_care import Cleared, Usage, clear_images, image_usage


@dataclass(frozen=True, slots=True)
class Cache:
    """How to look into, and how to empty, one cache below the cache folder."""

    usage: Callable[[Path], Usage]
    clear: Callable[[Path], Cleared]


CACHES = {"images": Cache(image_usage, clear_images)}


def show_caches(folder: Path | None) -> dict[str, Any]:
    """`{"folder", "bytes", "entries", "limit", "caches": {name: {"bytes", "entries"}}}`; bytes, and images as entries.

    Args:
        folder: of the caches; without it the one that runs use where their config names none.
    """
    compute = ComputeConfig()
    root = folder.absolute() if folder else cache_root(compute)
    found = {name: cache.usage(root) for name, cache in CACHES.items()}
    return {
        "folder": str(root),
        "bytes": sum(one.bytes for one in found.values()),
        "entries": sum(one.entries for one in found.values()),
        "limit": int(compute.cache_max_gb * 1e9),
        "caches": {name: asdict(one) for name, one in found.items()},
    }


def clear_caches(folder: Path | None) -> dict[str, Any]:
    """What `show_caches` gives afterwards, and `freed` and `in_use` in bytes."""
    root = folder.absolute() if folder else cache_root(ComputeConfig())
    done = [cache.clear(root) for cache in CACHES.values()]
    return show_caches(folder) | {"freed": sum(one.freed for one in done), "in_use": sum(one.in_use for one in done)}
