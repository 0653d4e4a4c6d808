"""Subset of every image that an experiment has assigned: one split, and one fold for each number of folds.

A subset is a split (`train`, `validation`, `test`) or a fold such as `fold 2/5`. An image keeps its fold of five when
the experiment later uses ten folds, so that going back to five folds gives the same folds, also after images were
added.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

SPLITS = ("train", "validation", "test")
RANK = {split: rank for rank, split in enumerate(SPLITS)}  # a held-out image never returns to train
_FOLD = re.compile(r"fold [0-9]+/([0-9]+)")


def fold_name(number: int, count: int) -> str:
    """Return the subset name of fold `number` (from 1) of `count`."""
    return f"fold {number}/{count}"


def fold_count(subset: str) -> int:
    """Return the number of folds for a fold such as `fold 2/5`; 0 for a split."""
    match = _FOLD.fullmatch(subset)
    return int(match[1]) if match else 0


def rank(subset: str) -> tuple[int, str]:
    """Return a sort key by which test is above validation, and validation above train and folds."""
    return RANK.get(subset, 0), subset


@dataclass(frozen=True)
class Assignments:
    """Assigned subsets.

    Attributes:
        splits: pixel hash -> split.
        folds: number of folds -> pixel hash -> fold, such as `fold 2/5`.
    """

    splits: Mapping[str, str] = field(default_factory=dict)
    folds: Mapping[int, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str]]) -> Assignments:
        """Build assignments from (pixel hash, subset).

        Raises `ValueError` for an unknown subset, and if an image has two splits or two folds of the same number.
        """
        splits: dict[str, str] = {}
        folds: dict[int, dict[str, str]] = {}
        for pixels, subset in rows:
            count = fold_count(subset)
            if not count and subset not in SPLITS:
                raise ValueError(f"{subset!r} is not one of {', '.join(SPLITS)}, fold N/K")
            subset_of = folds.setdefault(count, {}) if count else splits
            if subset_of.setdefault(pixels, subset) != subset:
                raise ValueError(f"{pixels[:12]}… is assigned to both {subset_of[pixels]} and {subset}")
        return cls(splits, folds)

    def has(self, pixels: str) -> bool:
        """Return True if the image has a split or a fold."""
        return any(pixels in subset_of for subset_of in (self.splits, *self.folds.values()))

    def with_new_hashes(self, earlier_of: Mapping[str, Collection[str]]) -> Assignments:
        """Return the assignments with those of images whose pixel hash changed, under their new hash as well.

        earlier_of: new pixel hash -> earlier ones; of several subsets, the highest by `rank` counts. An image that has
        a subset under its new hash keeps it.
        """

        def extended(subset_of: Mapping[str, str]) -> dict[str, str]:
            found = {
                new: max((subset_of[pixels] for pixels in earlier if pixels in subset_of), key=rank, default="")
                for new, earlier in earlier_of.items()
            }
            return {new: subset for new, subset in found.items() if subset} | dict(subset_of)

        return Assignments(extended(self.splits), {count: extended(known) for count, known in self.folds.items()})

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield (pixel hash, subset), sorted: equal assignments give equal rows."""
        yield from sorted(row for subset_of in (self.splits, *self.folds.values()) for row in subset_of.items())

    def contradicts(self, other: Assignments) -> bool:
        """Return True if an image has another split, or another fold of the same number, in `other`."""
        pairs = [(self.splits, other.splits)]
        pairs += [(known, other.folds.get(count, {})) for count, known in self.folds.items()]
        return any(theirs.get(pixels, subset) != subset for ours, theirs in pairs for pixels, subset in ours.items())

    def known(self, count: int = 0) -> dict[str, str]:
        """Return one subset per image, for a division into splits (`count` 0) or into `count` folds.

        A test image stays a test image. Otherwise the fold of this count is used, then the split, then folds of other
        counts.
        """
        known: dict[str, str] = {}
        for other, subset_of in sorted(self.folds.items()):
            known |= subset_of if other != count else {}
        known |= self.splits
        of_count = self.folds.get(count, {}).items()
        return known | {pixels: subset for pixels, subset in of_count if self.splits.get(pixels) != "test"}

    def extended(self, subset_of: Mapping[str, str]) -> Assignments:
        """Return the assignments with new ones added; an existing fold of an image is kept, a split is replaced."""
        splits = dict(self.splits)
        folds = {count: dict(known) for count, known in self.folds.items()}
        for pixels, subset in subset_of.items():
            if count := fold_count(subset):
                folds.setdefault(count, {}).setdefault(pixels, subset)
            else:
                splits[pixels] = subset
        return Assignments(splits, folds)
