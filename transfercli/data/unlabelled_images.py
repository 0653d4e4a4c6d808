"""Unlabelled images: a folder of any depth, read as a split with the single class `unknown`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from transfercli.data.cache.images import cache_root
from transfercli.data.dataset import Split
from transfercli.data.image_notes import OF_TRAINING, report_notes
from transfercli.data.ingest import Reading
from transfercli.data.sources.folders import (
    IMAGE_EXTENSIONS,
    SHELL_PATH_HINT,
    Item,
    check_exists,
    listed_file,
    relative,
    walk,
)
from transfercli.data.sources.listing import Listing
from transfercli.data.sources.storage.places import given_place
from transfercli.data.validation import check_bad, read_images, split_of
from transfercli.errors import DataError
from transfercli.io.addresses import as_given

UNKNOWN = "unknown"


def list_unlabelled(folder: Path, reading: Reading) -> list[Item]:
    """Return all images below `folder`, a path or an address, sorted by path.

    Raises `DataError` if there are none, `UsageError` for an address with a secret.
    """
    given, compute = as_given(folder), reading.compute
    root = given_place(folder, cache_root(compute), compute.cache_max_gb, reading.reporter)
    check_exists(root, "DIR", given, SHELL_PATH_HINT)
    if not root.is_dir():
        raise DataError(f"{given!r} is not a folder", "name a folder that holds images, at any depth")
    files = sorted(file for file in walk(root) if listed_file(file) == ("", True))
    if not files:
        raise DataError(f"{given!r} has no images", f"file types read: {', '.join(sorted(IMAGE_EXTENSIONS))}")
    return [Item(file, relative(file, root), UNKNOWN, UNKNOWN) for file in files]


def load_unlabelled(items: list[Item], reading: Reading, groups: Mapping[str, str] | None = None) -> Split:
    """Read the images, whose groups are given by name.

    Unreadable ones are left out with a warning. Raises `DataError` if there are too many.
    """
    findings = read_images(Listing(items, groups=dict(groups or {})), reading)
    check_bad(findings)
    report_notes(findings.note_counts, OF_TRAINING, reading.reporter)
    if not findings.usable:
        raise DataError("none of the images can be read")
    return split_of(UNKNOWN, findings.usable, (UNKNOWN,), findings)
