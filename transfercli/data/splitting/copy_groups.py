"""Units of images that stay in one split: copies of an image, and groups; a copy in two groups joins them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """Usable image to assign to a split.

    Attributes:
        pixels: hash of the decoded pixels.
        split: the split that the source gives; `train` images may be assigned to another one.
        labels: its class, or the labels that it has, which may be none.
        group: name of its group, or "".
        unknown: labels that nobody has judged.
    """

    pixels: str
    labels: tuple[str, ...]
    split: str = "train"
    group: str = ""
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unit:
    """Images that are assigned to a split together.

    Attributes:
        key: hash of 64 hexadecimal digits: of the group's name (the lowest if there are several groups), or the pixel
            hash of an image without a group.
        pixels: the different pixel hashes, sorted.
        name: name of the group (the first if there are several), or "".
    """

    key: str
    pixels: tuple[str, ...]
    name: str = ""


def key_of_group(name: str) -> str:
    """Return the hash of a group's name, 64 hexadecimal digits."""
    return hashlib.sha256(b"group\0" + name.encode("utf-8", "surrogateescape")).hexdigest()


def units_of(samples: Sequence[Sample]) -> list[Unit]:
    """Return the units of all samples, sorted by key."""
    from scipy.cluster.hierarchy import DisjointSet

    sets = DisjointSet()
    for sample in samples:
        pixels = ("pixels", sample.pixels)
        sets.add(pixels)
        if sample.group:
            sets.add(("group", sample.group))
            sets.merge(pixels, ("group", sample.group))
    return sorted(map(_unit, sets.subsets()), key=lambda unit: unit.key)


def _unit(members: set[tuple[str, str]]) -> Unit:
    pixels = [name for kind, name in members if kind == "pixels"]
    groups = [name for kind, name in members if kind == "group"]
    key = min(map(key_of_group, groups)) if groups else pixels[0]
    return Unit(key, tuple(sorted(pixels)), min(groups, default=""))
