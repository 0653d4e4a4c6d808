"""Which side an image is on: decided once, by its pixels, and kept for good.

The side of an image not seen before follows from the hash of its decoded pixels, so it does not depend on the other
images, on names or on order: adding files moves nothing, and a copy lands where its original is. Earlier assignments
win over all that. Only where a class would lack a side is an image moved, the one with the lowest hash, and that
move is an assignment like any other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from transfercli.data.dataset import SIDES
from transfercli.errors import DataError

RANK = {side: rank for rank, side in enumerate(SIDES)}  # an image once held out never comes back to train


@dataclass(frozen=True, slots=True)
class Sample:
    """A usable image as the splits see it; `side` is `train` where the source leaves it open."""

    pixels: str
    label: str
    side: str = "train"


@dataclass(frozen=True, slots=True)
class Sides:
    """The side of each sample in order, every assignment ever made, and the hashes that stand on two sides."""

    sides: list[str]
    assignments: dict[str, str]
    held_out: set[str]


def natural_side(pixels: str, fractions: Mapping[str, float]) -> str:
    """The side that a hash falls on; its first 64 bits, as a fraction, against the thresholds."""
    place, bound = int(pixels[:16], 16) / 2.0**64, 0.0
    for side in ("test", "validation"):
        bound += fractions.get(side, 0.0)
        if place < bound:
            return side
    return "train"


def assign(samples: Sequence[Sample], fractions: Mapping[str, float], earlier: Mapping[str, str]) -> Sides:
    """Put every sample on a side.

    Args:
        fractions: of the sides to be carved from the training images, such as {"validation": 0.15}; {} for none.
        earlier: pixel hash -> side, of earlier runs of the experiment.

    Raises DataError, naming the class and its count, where a class has too few different images for its sides.
    """
    explicit = _explicit(samples)
    fixed = dict(earlier)
    for pixels, side in explicit.items():
        fixed[pixels] = max(side, fixed.get(pixels, side), key=RANK.__getitem__)
    pool = [sample for sample in samples if sample.side == "train"]
    decided = {s.pixels: fixed.get(s.pixels) or natural_side(s.pixels, fractions) for s in pool}
    free = {pixels for pixels in decided if pixels not in fixed}
    _fill_lacking_sides(pool, ["train", *fractions], decided, free)
    sides = [decided[s.pixels] if s.side == "train" else s.side for s in samples]
    return Sides(sides, {**fixed, **decided}, {pixels for pixels in explicit if pixels in decided})


def _explicit(samples: Iterable[Sample]) -> dict[str, str]:
    """The held-out hashes that the source itself names."""
    named: dict[str, str] = {}
    for sample in samples:
        if sample.side != "train":
            named[sample.pixels] = max(sample.side, named.get(sample.pixels, sample.side), key=RANK.__getitem__)
    return named


def _fill_lacking_sides(pool: Sequence[Sample], wanted: Sequence[str], decided: dict[str, str], free: set[str]) -> None:
    classes: defaultdict[str, set[str]] = defaultdict(set)
    for sample in pool:
        classes[sample.label].add(sample.pixels)
    for label in sorted(classes):
        _check_enough(label, len(classes[label]), wanted)
        for side in wanted:
            if not any(decided[pixels] == side for pixels in classes[label]):
                moved = _movable(label, classes, wanted, decided, free)
                if moved is None:
                    raise _no_image_left(label, side, classes[label], decided)
                decided[moved] = side


def _check_enough(label: str, different: int, wanted: Sequence[str]) -> None:
    least = max(2, len(wanted))
    if different < least:
        raise DataError(
            f"class {label!r} has {different} different usable image{'s' * (different != 1)} for "
            f"{' and '.join(wanted)}; at least {least} are needed",
            f"add images of {label!r}, or take the class out",
        )


def _movable(
    label: str, classes: Mapping[str, set[str]], wanted: Sequence[str], decided: Mapping[str, str], free: set[str]
) -> str | None:
    """The free image with the lowest hash whose move leaves no class without a side it has now; train gives first."""
    owners = list(classes.values())
    counts = [Counter(decided[pixels] for pixels in hashes) for hashes in owners]
    for side in wanted:
        for pixels in sorted(p for p in classes[label] & free if decided[p] == side):
            if all(counts[i][side] > 1 for i, hashes in enumerate(owners) if pixels in hashes):
                return pixels
    return None


def _no_image_left(label: str, side: str, hashes: set[str], decided: Mapping[str, str]) -> DataError:
    standing = Counter(decided[pixels] for pixels in hashes)
    found = ", ".join(f"{standing[s]} in {s}" for s in SIDES if standing[s])
    return DataError(
        f"class {label!r} has no image left for {side}: {found}, fixed by "
        "earlier runs of this experiment or by the data",
        f"add images of {label!r}, or give the experiment a new name",
    )
