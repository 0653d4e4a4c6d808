"""What must stay together: copies of an image, and the images of a group; a copy in two groups joins them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from transfercli.data.splitting.joined import Joined


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
    joined: Joined[tuple[str, str]] = Joined()
    for sample in samples:
        pixels = ("pixels", sample.pixels)
        joined.join(pixels, ("group", sample.group) if sample.group else pixels)
    members: dict[tuple[str, str], dict[str, list[str]]] = {}
    for kind, name in list(joined):
        members.setdefault(joined.find((kind, name)), {"pixels": [], "group": []})[kind].append(name)
    return sorted((_unit(found["pixels"], found["group"]) for found in members.values()), key=lambda unit: unit.key)


def _unit(pixels: list[str], groups: list[str]) -> Unit:
    key = min(map(key_of_group, groups)) if groups else pixels[0]
    return Unit(key, tuple(sorted(pixels)), min(groups, default=""))
