"""What must stay together: copies of an image, and the images of a group; a copy in two groups joins them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """A usable image as the splits see it; `side` is `train` where the source leaves it open, `group` "" for none."""

    pixels: str
    label: str
    side: str = "train"
    group: str = ""


@dataclass(frozen=True, slots=True)
class Unit:
    """Images on one side: their different pixel hashes, sorted.

    Attributes:
        key: a hash, 64 hexadecimal digits: that of the group's name, the lowest of several, or of the only pixels.
        name: the group's, "" without one; the first of several.
    """

    key: str
    pixels: tuple[str, ...]
    name: str = ""


def key_of_group(name: str) -> str:
    return hashlib.sha256(b"group\0" + name.encode("utf-8", "surrogateescape")).hexdigest()


def units_of(samples: Sequence[Sample]) -> list[Unit]:
    """The units of all samples, sorted by key."""
    from scipy.cluster.hierarchy import DisjointSet

    joined = DisjointSet()
    for sample in samples:
        pixels = ("pixels", sample.pixels)
        joined.add(pixels)
        if sample.group:
            joined.add(("group", sample.group))
            joined.merge(pixels, ("group", sample.group))
    return sorted(map(_unit, joined.subsets()), key=lambda unit: unit.key)


def _unit(members: set[tuple[str, str]]) -> Unit:
    pixels = [name for kind, name in members if kind == "pixels"]
    groups = [name for kind, name in members if kind == "group"]
    key = min(map(key_of_group, groups)) if groups else pixels[0]
    return Unit(key, tuple(sorted(pixels)), min(groups, default=""))
