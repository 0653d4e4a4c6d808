"""`cache show` and `cache clear`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from transfercli.config.schema import ComputeConfig
from transfercli.data.cache.images import cache_root
from transfercli.data.cache.maintenance import clear, usage
from transfercli.data.cache.segments import KINDS


def show_caches(folder: Path | None) -> dict[str, Any]:
    """`{"folder", "bytes", "entries", "limit", "caches": {name: {"bytes", "entries"}}}`; bytes, and rows as entries.

    Args:
        folder: of the caches; without it the one that runs use where their config names none.
    """
    compute = ComputeConfig()
    root = folder.absolute() if folder else cache_root(compute)
    found = {kind: usage(root, kind) for kind in KINDS}
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
    done = clear(root)
    return show_caches(folder) | asdict(done)
