"""Folders of empty files, and their listings."""

from __future__ import annotations

from pathlib import Path

from transfercli.config.paths import resolve_paths
from transfercli.config.schema import DataConfig
from transfercli.config.types import Task
from transfercli.data.sources.listing import Listing, check_classes, list_images
from transfercli.reporting import Reporter


def touch(folder: Path, *names: str) -> None:
    """Empty files: nothing here opens them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def listed(
    folder: Path, train: str = "images", *, reporter: Reporter | None = None, task: Task = "classify", **data: object
) -> Listing:
    config = resolve_paths(DataConfig(train=train, **data), folder, ("data",))
    listing = list_images(config, reporter or Reporter(), task)
    check_classes(listing)
    return listing


def names(listing: Listing, side: str = "train") -> list[str]:
    return [item.name for item in listing.items if item.split == side and not item.problem]
