"""Report of `data check`: problems of the images that ingest has read; no file is read here."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any

import numpy as np

from transfercli.data.corrections.source import AppliedCorrections
from transfercli.data.dataset import Auxiliary
from transfercli.data.image import FLAT
from transfercli.data.label_sets import CLASS_NOUNS, LABEL_NOUNS, LabelSet
from transfercli.data.quality.group_suggestions import GroupSuggestion
from transfercli.data.quality.label_pairs import SAME, CoOccurrence, co_occurrence
from transfercli.data.quality.mislabelled import Mislabelled
from transfercli.data.quality.near_duplicates import Fingerprints, near_duplicates
from transfercli.data.transparent_images import Transparency
from transfercli.data.validation import IngestedFile, contradicted
from transfercli.text import counted, first_of

_SPLITS = ("train", "validation", "test")
_NAMED = 5
TINY_SIDE = 8  # pixels; an image with a shorter side is reported
UNUSUAL = 4.0  # an image is reported if its width or height differs from the median by a larger factor

DAMAGED = ("cut", "damaged")  # kinds of problems of files that decode without an error

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class CheckedImage:
    """Usable image.

    Attributes:
        split: the split that it is assigned to; "" if training would stop before that.
        pixels: hash of the decoded pixels.
        width, height: size in pixels of the upright original.
        source_split: the split that the source gives, or "".
        label_set: its labels if an image may have several; then `label` is the text of the set. None if it has one.
        decided: True if a person looked at its label (`data.corrections`), which is then in no doubt.
    """

    path: str
    label: str
    split: str
    pixels: str
    width: int
    height: int
    source_split: str = ""
    label_set: LabelSet | None = None
    decided: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """Its class, or the labels that it has."""
        return (self.label,) if self.label_set is None else self.label_set.has

    @property
    def shown_label(self) -> str:
        """Its class, or its labels in words."""
        return self.label if self.label_set is None else self.label_set.shown

    def contradicts(self, other: CheckedImage) -> bool:
        """Return True if the labels of the two differ in more than what is unknown of one of them."""
        if self.label_set is None or other.label_set is None:
            return self.label != other.label
        return bool(contradicted([self.label_set, other.label_set]))


@dataclass(frozen=True, slots=True)
class Problem:
    """Reported file; `used` is True if it is nevertheless trained on."""

    path: str
    problem: str
    used: bool


@dataclass(frozen=True, slots=True)
class ProblemGroup:
    """Files with the same kind of problem, in the listing's order; `used` is True if they are trained on."""

    kind: str
    used: bool
    problems: Sequence[Problem]


def same_labels(found: Mapping[str, Sequence[str]], joint: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return (splits, labels) of labels by split, once for all splits that have the same ones.

    joint: word before the last of these splits, as in `test, train or validation`.
    """
    splits: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for split, labels in found.items():
        splits[tuple(labels)].append(split)
    return [
        (f" {joint} ".join([", ".join(first)] * bool(first) + [last]), labels)
        for labels, (*first, last) in splits.items()
    ]


@dataclass(frozen=True)
class Report:
    """Report on a data set.

    Attributes:
        images: the usable images; other attributes refer to them by row.
        duplicates, near: pairs of rows with the same, or nearly the same, pixels.
        refusals: errors that training would raise; empty if it could begin.
        hints: the fix for each refusal, or "".
        counts: class -> split -> number of images; without splits if training would stop before assigning them.
        missing: split -> classes without an image in it.
        constant: split -> labels that every image in it has, unknown ones aside.
        pairs: numbers of images with two labels; None if an image has one class.
        unusual: rows whose size is far from the median.
        transparency: number of images with transparent pixels, and their background.
        suggestion: a sign that images are in groups; None without one, or if `data.group` is set.
        split_groups: number of independent groups per split; None if no image has a group.
        auxiliary: unlabelled and related images; without records if the config names none.
        corrections: of labels, which the images already have; None without any.
    """

    images: Sequence[CheckedImage]
    problems: Sequence[Problem]
    duplicates: Sequence[Pair]
    near: Sequence[Pair]
    labels: Sequence[str]
    refusals: Sequence[str] = ()
    hints: Sequence[str] = ()
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)
    unusual: Sequence[int] = ()
    mislabelled: Mislabelled = field(default_factory=Mislabelled)
    transparency: Transparency = field(default_factory=Transparency)
    suggestion: GroupSuggestion | None = None
    split_groups: dict[str, int] | None = None
    auxiliary: Auxiliary = field(default_factory=Auxiliary)
    constant: dict[str, list[str]] = field(default_factory=dict)
    pairs: CoOccurrence | None = None
    corrections: AppliedCorrections | None = None

    @property
    def several(self) -> bool:
        """True if an image may have several labels."""
        return self.pairs is not None

    @property
    def nouns(self) -> tuple[str, str]:
        """Word for one class or label, and for more than one."""
        return LABEL_NOUNS if self.several else CLASS_NOUNS

    @property
    def usable(self) -> bool:
        """True if training could begin."""
        return not self.refusals

    @property
    def verdict(self) -> str:
        """`refused` if training would refuse the data, `doubtful` if there are doubts, else `usable`."""
        if self.refusals:
            return "refused"
        return "doubtful" if self.doubts() else "usable"

    def doubts(self) -> list[str]:
        """Return the findings that training accepts, but that make its result wrong or its scores too good."""
        copies, near = (_members(self.across_labels(pairs)) for pairs in (self.duplicates, self.near))
        split = _members(self.across_splits(self.duplicates))
        damaged = sum(len(group.problems) for group in self.problem_groups() if group.kind in DAMAGED and group.used)
        other = "with other labels" if self.several else "of another class"
        findings = (
            (len(copies), f"with the same pixels as an image {other}"),
            (len(near), f"nearly the same as an image {other}"),
            (len(split), "with the same pixels as an image of another split"),
            (damaged, "damaged, but decoded without an error"),
            (self.transparency.flat, "of one colour, the transparent pixels on data.background"),
        )
        found = [f"{counted(number, 'image')} {text}" for number, text in findings if number]
        return found + (self._label_doubts(self.pairs) if self.pairs is not None else [])

    def _label_doubts(self, pairs: CoOccurrence) -> list[str]:
        """Return the doubts about labels, if an image may have several."""
        same = [pair for pair in pairs.pairs if pair.kind == SAME]
        texts = [
            f"{counted(len(labels), 'label')} that {which} {splits} image{'s' * (which == 'all')}"
            f" {verb}: {first_of(labels, _NAMED, written=repr)}"
            for which, verb, joint, found in (("no", "has", "or", self.missing), ("all", "have", "and", self.constant))
            for splits, labels in same_labels(found, joint)
        ]
        shown = [f"{pair.first!r} and {pair.second!r} ({counted(pair.together, 'image')})" for pair in same]
        names = first_of(shown, _NAMED)
        return texts + ([f"{counted(len(same), 'pair')} of labels that are always together: {names}"] if same else [])

    def problem_groups(self) -> list[ProblemGroup]:
        """Return the problems by kind, the text before the colon; those of files left out first, then by size."""
        groups: defaultdict[tuple[str, bool], list[Problem]] = defaultdict(list)
        for problem in self.problems:
            groups[problem.problem.partition(":")[0], problem.used].append(problem)
        found = [ProblemGroup(kind, used, problems) for (kind, used), problems in groups.items()]
        return sorted(found, key=lambda group: (group.used, -len(group.problems), group.kind))

    def groups(self, pairs: Sequence[Pair]) -> list[list[int]]:
        """Return the rows that pairs connect, as groups of at least two, in the order of their first pair."""
        from scipy.cluster.hierarchy import DisjointSet

        sets = DisjointSet(dict.fromkeys(row for pair in pairs for row in pair))
        for a, b in pairs:
            sets.merge(a, b)
        first = dict.fromkeys(sets[a] for a, _ in pairs)
        members: defaultdict[int, list[int]] = defaultdict(list)
        for row in sorted(sets):
            members[sets[row]].append(row)
        return [members[root] for root in first]

    def classes(self) -> dict[str, int]:
        """Return the number of images per class, or with each label."""
        numbers = Counter(label for image in self.images for label in image.labels)
        return {label: numbers[label] for label in self.labels}

    def splits(self) -> dict[str, int]:
        """Return the number of images per split."""
        numbers = Counter(image.split for image in self.images if image.split)
        return {split: numbers[split] for split in _SPLITS if numbers[split]}

    def imbalance(self) -> float | None:
        """Return the images of the largest class over those of the smallest; None if a class has none."""
        numbers = self.classes().values()
        smallest = min(numbers, default=0)
        return max(numbers) / smallest if smallest else None

    def across_labels(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Return the pairs with different labels; an unknown label differs from none.

        A pair of which both images were decided on is as a person wants it.
        """
        images = self.images
        open_pairs = [(a, b) for a, b in pairs if not (images[a].decided and images[b].decided)]
        return [(a, b) for a, b in open_pairs if images[a].contradicts(images[b])]

    def across_splits(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Return the pairs in different splits, as assigned or in the source: exact copies are assigned together."""
        splits = [(image.split, image.source_split) for image in self.images]
        return [(a, b) for a, b in pairs if splits[a] != splits[b]]

    def paths(self, pairs: Sequence[Pair]) -> list[list[str]]:
        """Return the paths of pairs."""
        return [[self.images[a].path, self.images[b].path] for a, b in pairs]

    def as_result(self) -> dict[str, Any]:
        """Return the JSON result of `data check`."""
        return {
            "images": len(self.images),
            "groups": self.split_groups,
            "classes": self.classes(),
            "splits": self.splits(),
            "problems": [asdict(problem) for problem in self.problems],
            "duplicates": self.paths(self.duplicates),
            "usable": self.usable,
            "verdict": self.verdict,
            "doubts": self.doubts(),
            "problem_groups": [
                {"problem": group.kind, "files": len(group.problems), "used": group.used}
                for group in self.problem_groups()
            ],
            "duplicates_across_splits": self.paths(self.across_splits(self.duplicates)),
            "duplicates_with_other_labels": self.paths(self.across_labels(self.duplicates)),
            "near_duplicates": self.paths(self.near),
            "near_duplicates_across_splits": self.paths(self.across_splits(self.near)),
            "near_duplicates_with_other_labels": self.paths(self.across_labels(self.near)),
            "balance": self.counts,
            "imbalance": self.imbalance(),
            "missing_classes": self.missing,
            "sizes": sizes(self.images),
            "unusual_sizes": [
                {"path": image.path, "width": image.width, "height": image.height}
                for image in (self.images[row] for row in self.unusual)
            ],
            "transparency": asdict(self.transparency),
            "group_suggestion": self.suggestion and asdict(self.suggestion),
            "refusals": list(self.refusals),
            "mislabelled": [
                {
                    "path": self.images[suspect.row].path,
                    "label": suspect.label or self.images[suspect.row].label,
                    **({"given": suspect.given} if suspect.label else {}),
                    "suggested": suspect.suggested,
                    "confidence": round(suspect.confidence, 4),
                    "probability": round(suspect.probability, 4),
                }
                for suspect in self.mislabelled.suspects
            ],
            "mislabelled_run": self.mislabelled.run or None,
            "mislabelled_note": self.mislabelled.note or None,
            "mislabelled_search": self.mislabelled.as_result(),
            "auxiliary": _auxiliary_result(self.auxiliary),
            "corrections": {"file": self.corrections.name} | self.corrections.as_json() if self.corrections else None,
            **(self._label_result(self.pairs) if self.pairs is not None else {}),
        }

    def _label_result(self, pairs: CoOccurrence) -> dict[str, Any]:
        """Return the findings about labels as JSON, if an image may have several."""
        return {
            "unlabelled": sum(not image.labels for image in self.images),
            "unknown": pairs.unknown,
            "always_present": self.constant,
            "co_occurrence": pairs.as_result(),
            "label_pairs": [pair.as_result() for pair in pairs.pairs],
        }


def _auxiliary_result(auxiliary: Auxiliary) -> dict[str, Any] | None:
    """Return the numbers and problems of auxiliary images as JSON; None if the config names none."""
    if not auxiliary.records:
        return None
    return {
        **auxiliary.counts(),
        "classes": auxiliary.related.counts() if auxiliary.related is not None else {},
        "problems": [
            {"path": record.path, "problem": record.problem} for record in auxiliary.records if record.problem
        ],
    }


def build_report(
    files: Sequence[IngestedFile],
    splits: Sequence[str],
    fingerprints: Fingerprints,
    odd: Sequence[Sequence[str]],
    refusals: Sequence[tuple[str, str | None]],
    labels: Collection[str] | None = None,
) -> Report:
    """Return the report on a data set.

    Args:
        files: all files, usable or not, in the listing's order.
        splits: split of each usable file, or "".
        fingerprints: fingerprint of each usable file.
        odd: oddities of each usable file, found in its header.
        refusals: message and hint of each error that training would raise.
        labels: all labels if an image may have several; None if each image has one class.
    """
    usable = [file for file in files if not file.entry.problem]
    explicit = any(file.split != "train" for file in usable)  # then `train`, too, is given by the source
    images = [_checked_image(file, split, explicit) for file, split in zip(usable, splits, strict=True)]
    pairs = None
    if labels is not None:
        images = [replace(image, label_set=LabelSet.read(image.label)) for image in images]
        pairs = co_occurrence([image.label_set for image in images if image.label_set], sorted(labels))
    oddities = {
        id(file): _oddities(file, texts, bool(blank))
        for file, texts, blank in zip(usable, odd, fingerprints["blank"], strict=True)
    }
    problems = [
        Problem(file.name, text, not file.entry.problem)
        for file in files
        for text in ([file.entry.problem] if file.entry.problem else oddities[id(file)])
    ]
    copies, distinct = exact_duplicates([image.pixels for image in images])
    names = tuple(sorted({file.label for file in files if file.is_image} if labels is None else labels))
    return Report(
        images,
        problems,
        copies,
        near_duplicates(fingerprints, np.array(distinct, np.int64)),
        names,
        [message for message, _ in refusals],
        [hint or "" for _, hint in refusals],
        _counts(images, names),
        _missing(images, names),
        unusual_sizes(images),
        constant=_constant(images, names) if labels is not None else {},
        pairs=pairs,
    )


def exact_duplicates(pixels: Sequence[str]) -> tuple[list[Pair], list[int]]:
    """Return pairs of each copy with the first image of the same pixels, and the rows of these first images."""
    first: dict[str, int] = {}
    pairs = [(first[value], row) for row, value in enumerate(pixels) if first.setdefault(value, row) != row]
    return pairs, list(first.values())


def unusual_sizes(images: Sequence[CheckedImage]) -> list[int]:
    """Return the rows whose width or height is more than four times, or less than a quarter of, the median."""
    if not images:
        return []
    typical = median(image.width for image in images), median(image.height for image in images)

    def is_far(value: int, middle: float) -> bool:
        return value > UNUSUAL * middle or value * UNUSUAL < middle

    return [
        row for row, image in enumerate(images) if is_far(image.width, typical[0]) or is_far(image.height, typical[1])
    ]


def sizes(images: Sequence[CheckedImage]) -> dict[str, list[int]]:
    """Return [width, height] of the smallest and largest image by area, and the median width and height."""
    if not images:
        return {}
    by_area = sorted((image.width * image.height, image.width, image.height) for image in images)
    middle = [round(median(image.width for image in images)), round(median(image.height for image in images))]
    return {"smallest": list(by_area[0][1:]), "median": middle, "largest": list(by_area[-1][1:])}


def _members(pairs: Sequence[Pair]) -> set[int]:
    """Return the rows in pairs."""
    return {row for pair in pairs for row in pair}


def _checked_image(file: IngestedFile, split: str, explicit: bool) -> CheckedImage:
    entry, source_split = file.entry, file.split if explicit else ""
    size = entry.width, entry.height
    return CheckedImage(file.name, file.label, split, entry.pixel_hash, *size, source_split, decided=file.decided)


def _oddities(file: IngestedFile, texts: Sequence[str], blank: bool) -> list[str]:
    """Return the oddities from the header, and those of size and pixels."""
    entry = file.entry
    tiny = [f"tiny: {entry.width}x{entry.height} pixels"] if min(entry.width, entry.height) < TINY_SIDE else []
    flat = FLAT in entry.notes.split()
    colour = ["blank: one colour only" + ", its transparent pixels on data.background" * flat] if blank or flat else []
    return [*texts, *tiny, *colour]


def _counts(images: Sequence[CheckedImage], labels: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return class -> split -> number of images."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for image in images:
        for label in image.labels:
            counts[label][image.split] += bool(image.split)
    splits = {image.split for image in images}
    present = [split for split in _SPLITS if split in splits]
    return {label: {split: counts[label][split] for split in present} for label in labels}


def _missing(images: Sequence[CheckedImage], labels: Sequence[str]) -> dict[str, list[str]]:
    """Return split -> classes without an image in it."""
    counts = _counts(images, labels)
    splits = {split for numbers in counts.values() for split in numbers}
    missing = {split: [label for label in labels if not counts[label][split]] for split in sorted(splits)}
    return {split: names for split, names in missing.items() if names}


def _constant(images: Sequence[CheckedImage], labels: Sequence[str]) -> dict[str, list[str]]:
    """Return split -> labels that every image in it has, unknown ones aside."""
    named: defaultdict[str, Counter[str]] = defaultdict(Counter)
    numbers = Counter(image.split for image in images if image.split)
    for image in images:
        if image.split and image.label_set is not None:
            named[image.split].update(image.label_set.named)
    has = _counts(images, labels)
    found = {
        split: [label for label in labels if has[label][split] and named[split][label] == number]
        for split, number in sorted(numbers.items())
    }
    return {split: names for split, names in found.items() if names}
