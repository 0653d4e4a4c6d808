"""Images that nobody has labelled: any tree of them, as a split whose one class says nothing."""

from __future__ import annotations

from pathlib import Path

from transfercli.data.dataset import Split
from transfercli.data.ingest import Reading
from transfercli.data.sources.folders import FROM_HERE, IMAGE_EXTENSIONS, Item, must_exist, relative, walk
from transfercli.data.sources.listing import Listing
from transfercli.data.validation import check_bad, read_images, split_of
from transfercli.errors import DataError

UNKNOWN = "unknown"


def list_unlabelled(folder: Path) -> list[Item]:
    """Every image below `folder`, in the order of their paths; raises DataError where there is none."""
    place = folder.expanduser().absolute()
    must_exist(place, "DIR", str(folder), FROM_HERE)
    if not place.is_dir():
        raise DataError(f"{str(folder)!r} is no folder", "name a folder with images in it, at any depth")
    files = sorted(file for file in walk(place) if Path(file).suffix.lower() in IMAGE_EXTENSIONS)
    if not files:
        raise DataError(f"{str(folder)!r} has no images", f"read are {', '.join(sorted(IMAGE_EXTENSIONS))}")
    return [Item(file, relative(file, place), UNKNOWN, UNKNOWN) for file in files]


def load_unlabelled(items: list[Item], reading: Reading) -> Split:
    """The images of `items`; unreadable ones are left out with a warning, too many raise DataError."""
    findings = read_images(Listing(items), reading)
    check_bad(findings)
    if not findings.usable:
        raise DataError("none of the images can be read")
    return split_of(UNKNOWN, findings.usable, (UNKNOWN,), findings.ingest)
