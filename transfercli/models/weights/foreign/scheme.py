"""Naming scheme: the names that a library gives the tensors of a family of networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from transfercli.models.weights.foreign.rules import Rule

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Member:
    """Base among those of one scheme, and how it is known from the others.

    network: its name for people, such as "ResNet-50 v1.5".
    has: names without prefix and shapes that the file must have; lacks: names that it must not have.
    constants: values of weights here, `LAYER/WEIGHT`, that the library has outside of its file.
    names: of the network in the library, if the base's own name is unlike them.
    Choose few that are enough: the number of blocks (the last block, and none after it) and the widths.
    """

    network: str
    has: Mapping[str, Shape]
    lacks: tuple[str, ...] = ()
    constants: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scheme:
    """Naming scheme.

    title: "LIBRARY names of a FAMILY", for people, such as "PyTorch names of a ResNet".
    anchor: a name without prefix that every file of the scheme has; other names have the same prefix as this one.
    rules: for the tensors of the base. members: base -> how it is known; two may be known by the same marks, if the
    names do not say which it is.
    head: name of the classification head's layer, [classes, features] in its `.weight`, if there is one. It has the
    prefix of the network or stands beside it: `classifier` belongs to `vit.embeddings`, too.
    ignored: regular expressions of names that no base needs, with the reason for people.
    zeros: regular expression of weights of the base, `LAYER/WEIGHT`, that are zero because the scheme has no name for
    them; None if it names all.
    """

    name: str
    title: str
    anchor: str
    rules: tuple[Rule, ...]
    members: Mapping[str, Member]
    head: str | None = None
    ignored: Mapping[str, str] | None = None
    zeros: str | None = None
