"""`data check`: from what ingest found to a report of everything that a person should look at. Nothing is read here."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from transfercli.data.quality.near_duplicates import Looks, near_duplicates
from transfercli.data.validation import Found

TINY_SIDE = 8  # pixels; an image with a shorter side than this shows next to nothing
UNUSUAL = 4.0  # times the median width or height, or as many times less

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Seen:
    """A usable image as the check sees it.

    Attributes:
        side: "" where training would refuse before putting it on one.
        named: the side that its source names, "" where the source names none.
    """

    path: str
    label: str
    side: str
    pixels: str
    width: int
    height: int
    named: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that deserves a look; `used` tells whether it is trained on all the same."""

    path: str
    problem: str
    used: bool


@dataclass(frozen=True, slots=True)
class Suspect:
    """A row of `seen` whose label is likely wrong; `confidence` is the probability of the suggested one."""

    row: int
    suggested: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Mislabelled:
    """The likely mislabelled images, the surest first.

    Attributes:
        run: the label of the run whose features they were found by; "" where nothing was looked for.
        why_not: the reason for that; "" where nobody asked.
    """

    suspects: Sequence[Suspect] = ()
    run: str = ""
    why_not: str = ""


@dataclass(frozen=True)
class Report:
    """What is wrong with the data, and what is in it.

    Attributes:
        counts: class -> side -> images; sides stay empty where training would refuse.
        duplicates, near: pairs of rows of `seen` with the same, or nearly the same, pixels.
        missing: side -> classes of which it has no image.
        unusual: rows whose size is far from the others'.
        refusals: what training would say; empty where it would begin.
    """

    seen: Sequence[Seen]
    problems: Sequence[Problem]
    duplicates: Sequence[Pair]
    near: Sequence[Pair]
    labels: Sequence[str]
    refusals: Sequence[str] = ()
    hints: Sequence[str] = ()
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)
    unusual: Sequence[int] = ()
    mislabelled: Mislabelled = Mislabelled()

    @property
    def usable(self) -> bool:
        return not self.refusals

    def classes(self) -> dict[str, int]:
        found = Counter(one.label for one in self.seen)
        return {label: found[label] for label in self.labels}

    def splits(self) -> dict[str, int]:
        found = Counter(one.side for one in self.seen if one.side)
        return {side: found[side] for side in ("train", "validation", "test") if found[side]}

    def imbalance(self) -> float | None:
        """Images of the largest class over those of the smallest, or None where a class has none."""
        images = self.classes().values()
        smallest = min(images, default=0)
        return max(images) / smallest if smallest else None

    def across_labels(self, pairs: Sequence[Pair]) -> list[Pair]:
        return [(a, b) for a, b in pairs if self.seen[a].label != self.seen[b].label]

    def across_sides(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Those on two sides, or put on two sides by the source: an exact copy is moved to the held-out one."""
        places = [(one.side, one.named) for one in self.seen]
        return [(a, b) for a, b in pairs if places[a] != places[b]]

    def paths(self, pairs: Sequence[Pair]) -> list[list[str]]:
        return [[self.seen[a].path, self.seen[b].path] for a, b in pairs]

    def as_result(self) -> dict[str, Any]:
        """The contract's object, and more."""
        return {
            "images": len(self.seen),
            "classes": self.classes(),
            "splits": self.splits(),
            "problems": [{"path": p.path, "problem": p.problem, "used": p.used} for p in self.problems],
            "duplicates": self.paths(self.duplicates),
            "usable": self.usable,
            "duplicates_across_splits": self.paths(self.across_sides(self.duplicates)),
            "duplicates_with_other_labels": self.paths(self.across_labels(self.duplicates)),
            "near_duplicates": self.paths(self.near),
            "near_duplicates_across_splits": self.paths(self.across_sides(self.near)),
            "near_duplicates_with_other_labels": self.paths(self.across_labels(self.near)),
            "balance": self.counts,
            "imbalance": self.imbalance(),
            "missing_classes": self.missing,
            "sizes": sizes(self.seen),
            "unusual_sizes": [
                {"path": self.seen[i].path, "width": self.seen[i].width, "height": self.seen[i].height}
                for i in self.unusual
            ],
            "refusals": list(self.refusals),
            "mislabelled": [
                {
                    "path": self.seen[one.row].path,
                    "label": self.seen[one.row].label,
                    "suggested": one.suggested,
                    "confidence": round(one.confidence, 4),
                }
                for one in self.mislabelled.suspects
            ],
            "mislabelled_run": self.mislabelled.run or None,
            "mislabelled_note": self.mislabelled.why_not or None,
        }


def report(
    found: Sequence[Found],
    sides: Sequence[str],
    looks: Looks,
    odd: Sequence[Sequence[str]],
    refusals: Sequence[tuple[str, str | None]],
) -> Report:
    """Put everything together.

    Args:
        found: every file, usable or not, in the listing's order.
        sides: of each usable one; "" where it has none.
        looks: of each usable one.
        odd: what is odd about each usable one, by its first bytes.
        refusals: messages and hints of what training would raise.
    """
    usable = [one for one in found if not one.entry.problem]
    explicit = any(one.side != "train" for one in usable)  # then the source names the sides, `train` too
    seen = [_seen(one, side, explicit) for one, side in zip(usable, sides, strict=True)]
    strange = {
        id(one): _oddities(one, told, bool(blank)) for one, told, blank in zip(usable, odd, looks["blank"], strict=True)
    }
    problems = [
        Problem(one.name, text, not one.entry.problem)
        for one in found
        for text in ([one.entry.problem] if one.entry.problem else strange[id(one)])
    ]
    copies, distinct = exact_duplicates([one.pixels for one in seen])
    labels = tuple(sorted({one.label for one in found if one.counted}))
    return Report(
        seen,
        problems,
        copies,
        near_duplicates(looks, np.array(distinct, np.int64)),
        labels,
        [message for message, _ in refusals],
        [hint or "" for _, hint in refusals],
        _counts(seen, labels),
        _missing(seen, labels),
        unusual_sizes(seen),
    )


def exact_duplicates(pixels: Sequence[str]) -> tuple[list[Pair], list[int]]:
    """Pairs of the first image of a content and each copy of it, and the first image of each content."""
    first: dict[str, int] = {}
    pairs = [(first[value], row) for row, value in enumerate(pixels) if first.setdefault(value, row) != row]
    return pairs, list(first.values())


def unusual_sizes(seen: Sequence[Seen]) -> list[int]:
    """Rows whose width or height is more than four times, or less than a quarter of, the median one."""
    if not seen:
        return []
    typical = median(one.width for one in seen), median(one.height for one in seen)

    def far(value: int, middle: float) -> bool:
        return value > UNUSUAL * middle or value * UNUSUAL < middle

    return [row for row, one in enumerate(seen) if far(one.width, typical[0]) or far(one.height, typical[1])]


def sizes(seen: Sequence[Seen]) -> dict[str, list[int]]:
    """[width, height] of the smallest, the median and the largest image; the median goes by each side alone."""
    if not seen:
        return {}
    by_area = sorted((one.width * one.height, one.width, one.height) for one in seen)
    middle = [round(median(one.width for one in seen)), round(median(one.height for one in seen))]
    return {"smallest": list(by_area[0][1:]), "median": middle, "largest": list(by_area[-1][1:])}


def _seen(one: Found, side: str, explicit: bool) -> Seen:
    entry = one.entry
    return Seen(one.name, one.label, side, entry.pixel_hash, entry.width, entry.height, one.side if explicit else "")


def _oddities(one: Found, told: Sequence[str], blank: bool) -> list[str]:
    entry = one.entry
    tiny = [f"tiny: {entry.width}x{entry.height} pixels"] if min(entry.width, entry.height) < TINY_SIDE else []
    return [*told, *tiny, *(["blank: one colour only"] if blank else [])]


def _counts(seen: Sequence[Seen], labels: Sequence[str]) -> dict[str, dict[str, int]]:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for one in seen:
        counts[one.label][one.side] += bool(one.side)
    present = [side for side in ("train", "validation", "test") if any(counts[label][side] for label in labels)]
    return {label: {side: counts[label][side] for side in present} for label in labels}


def _missing(seen: Sequence[Seen], labels: Sequence[str]) -> dict[str, list[str]]:
    found = _counts(seen, labels)
    sides = {side for row in found.values() for side in row}
    lacking = {side: [label for label in labels if not found[label][side]] for side in sorted(sides)}
    return {side: names for side, names in lacking.items() if names}
