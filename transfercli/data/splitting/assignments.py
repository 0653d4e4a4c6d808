"""The place of every image that an experiment ever decided: one side, and one fold for each number of folds.

Cross-validation in five folds and later in ten asks twice where an image goes. Both answers are kept, so that going
back to five finds the same folds, whatever images have come since.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

SIDES = ("train", "validation", "test")
_FOLD = re.compile(r"fold [0-9]+/([0-9]+)")


def fold_name(number: int, count: int) -> str:
    """Fold `number` (from 1) of `count`, as a place."""
    return f"fold {number}/{count}"


def count_of(place: str) -> int:
    """Of a fold such as `fold 2/5` how many there are; 0 for a side."""
    found = _FOLD.fullmatch(place)
    return int(found[1]) if found else 0


@dataclass(frozen=True)
class Assignments:
    """sides: pixel hash -> side; folds: number of folds -> pixel hash -> fold, such as `fold 2/5`."""

    sides: Mapping[str, str] = field(default_factory=dict)
    folds: Mapping[int, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str]]) -> Assignments:
        """From (pixel hash, place); raises ValueError for what is no place, or for two answers to one question."""
        sides: dict[str, str] = {}
        folds: dict[int, dict[str, str]] = {}
        for pixels, place in rows:
            count = count_of(place)
            if not count and place not in SIDES:
                raise ValueError(f"{place!r} is not one of {', '.join(SIDES)}, fold N/K")
            answers = folds.setdefault(count, {}) if count else sides
            if answers.setdefault(pixels, place) != place:
                raise ValueError(f"{pixels[:12]}… stands there as {answers[pixels]} and as {place}")
        return cls(sides, folds)

    def rows(self) -> Iterator[tuple[str, str]]:
        """(pixel hash, place), sorted: equal assignments give equal rows."""
        yield from sorted(row for places in (self.sides, *self.folds.values()) for row in places.items())

    def known(self, count: int = 0) -> dict[str, str]:
        """One place of each image, as a split into sides, or into `count` folds, must see it.

        A test image is one for ever. Else the answer to this very question counts, then the side, then other folds.
        """
        found: dict[str, str] = {}
        for other, places in sorted(self.folds.items()):
            found |= places if other != count else {}
        found |= self.sides
        this = self.folds.get(count, {}).items()
        return found | {pixels: place for pixels, place in this if self.sides.get(pixels) != "test"}

    def extended(self, places: Mapping[str, str]) -> Assignments:
        """With what was decided now; the fold of an image is decided once, and its side changes only to be held out."""
        sides = dict(self.sides)
        folds = {count: dict(known) for count, known in self.folds.items()}
        for pixels, place in places.items():
            if count := count_of(place):
                folds.setdefault(count, {}).setdefault(pixels, place)
            else:
                sides[pixels] = place
        return Assignments(sides, folds)
