"""Auxiliary images of a data set, read as its own images are; copies of these are left out.

An unlabelled image with the pixels of a test image is left out, too: a model that has seen the pixels of the test
images is measured on other terms than it is used (transductive learning).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from transfercli.config.schema import DataConfig
from transfercli.data.dataset import Auxiliary, CacheCounts, Dataset, Record, Split
from transfercli.data.image_notes import report_notes
from transfercli.data.ingest import Reading
from transfercli.data.sources.auxiliary import RELATED, UNLABELLED, AuxiliaryListing, related_key, with_known_classes
from transfercli.data.sources.folders import Item
from transfercli.data.sources.listing import Listing
from transfercli.data.transparent_images import report_transparency
from transfercli.data.validation import Findings, IngestedFile, check_bad, read_images, split_of
from transfercli.errors import DataError
from transfercli.reporting import Forwarding
from transfercli.text import counted, first_of

# Reasons to leave an image out, besides the splits of the data set that have an image of the same pixels.
UNKNOWN_CLASS, OTHER_CLASS, COPY = "unknown_class", "other_class", "copy"
_TEXTS = {
    "test": "the same pixels as a test image",
    "validation": "the same pixels as a validation image",
    "train": "the same pixels as a training image",
    RELATED: "the same pixels as a related image",
    OTHER_CLASS: "the same pixels as an image of another class",
    COPY: "the same pixels as another of these images",
}
_LISTED = 3

Pixels = Mapping[str, tuple[str, str]]  # pixel hash -> split and label of the image


def with_auxiliary(dataset: Dataset, listing: AuxiliaryListing, config: DataConfig, reading: Reading) -> Dataset:
    """Return the data set with the auxiliary images of a listing.

    Raises `DataError` if too many images of one source are unreadable, or if a class has no image left.
    """
    if not len(listing):
        return dataset
    listing, unknown = with_known_classes(listing, dataset.labels, reading.reporter)
    sources: dict[str, Sequence[Item]] = {related_key(row): items for row, items in enumerate(listing.related)}
    sources |= {f"data.{UNLABELLED}": listing.unlabelled} if listing.unlabelled else {}
    findings = read_images(Listing([item for items in sources.values() for item in items]), reading)
    parts, start = dict[str, Findings](), 0
    for key, items in sources.items():
        parts[key] = _checked(findings, slice(start, start := start + len(items)), key, config)
    reasons = _reasons_to_leave_out(dataset, parts)
    used = [file for file in findings.usable if id(file) not in reasons]
    _check_added(listing.added, used)
    left_out = {key: _counts(part, reasons, unknown.get(key, 0)) for key, part in parts.items()}
    domain_of = {id(file): row for row, part in enumerate(parts.values()) for file in part.files}
    related = [file for file in used if file.split == RELATED]
    auxiliary = Auxiliary(
        tuple(_record(file, reasons.get(id(file), "")) for file in findings.files),
        _split(UNLABELLED, [file for file in used if file.split == UNLABELLED], ("",), findings),
        _split(RELATED, related, dataset.labels, findings),
        np.array([domain_of[id(file)] for file in related], np.int32),
        {key: counts for key, counts in left_out.items() if counts},
    )
    pixels = {file.entry.sha256: file.entry.pixel_hash for file in used}
    read, before = findings.ingest.counts, dataset.cache
    counts = CacheCounts(before.hits + read.hits, before.misses + read.misses)
    return replace(dataset, auxiliary=auxiliary, pixels={**dataset.pixels, **pixels}, cache=counts)


class _Named(Forwarding):
    """Reporter that puts the key of the images before each message."""

    def __init__(self, findings: Findings, key: str) -> None:
        super().__init__(findings.reading.reporter)
        self.key = key

    def info(self, text: str) -> None:
        super().info(f"{self.key}: {text}")

    def warning(self, text: str) -> None:
        super().warning(f"{self.key}: {text}")


def _checked(findings: Findings, rows: slice, key: str, config: DataConfig) -> Findings:
    """Return the files of one source, and report what the decoder did to them.

    Raises `DataError` if more are unusable than `max_bad_fraction` allows, or all.
    """
    reporter, chosen = _Named(findings, key), config.model_fields_set
    part = replace(findings, files=findings.files[rows], reading=replace(findings.reading, reporter=reporter))
    try:
        check_bad(part)
    except DataError as error:
        raise DataError(f"{key}: {error.message}", error.hint) from error
    if not part.usable:
        raise DataError(f"{key}: none of the images can be used")
    report_transparency(part, chosen="background" in chosen)
    report_notes(part.note_counts, chosen, reporter)
    return part


def _reasons_to_leave_out(dataset: Dataset, parts: Mapping[str, Findings]) -> dict[int, str]:
    """Return id of a file -> the reason to leave it out; warn of these files by source, related ones first."""
    own = {
        pixels: (name, split.labels[target])
        for name in ("train", "validation", "test")
        if (split := dataset.splits.get(name))
        for pixels, target in zip(split.pixel_hashes, split.targets, strict=True)
    }
    related_labels: defaultdict[str, set[str]] = defaultdict(set)
    for part in parts.values():
        for file in part.usable:
            related_labels[file.entry.pixel_hash].update({file.label} if file.split == RELATED else ())
    reasons: dict[int, str] = {}
    seen: set[str] = set()
    for part in parts.values():
        found = {
            id(file): reason
            for file in part.usable
            if (reason := _reason(file, own, related_labels[file.entry.pixel_hash], seen))
        }
        _warn(part, found)
        reasons |= found
    return reasons


def _reason(file: IngestedFile, own: Pixels, related_labels: set[str], seen: set[str]) -> str:
    """Return the reason to leave a file out, or "". seen: pixel hashes of the files that are kept; is extended."""
    pixels = file.entry.pixel_hash
    if pixels in own:
        split, label = own[pixels]
        return OTHER_CLASS if split == "train" and file.label and file.label != label else split
    if file.split == RELATED and len(related_labels) > 1:
        return OTHER_CLASS
    if file.split == UNLABELLED and related_labels:
        return RELATED
    if pixels in seen:
        return COPY
    seen.add(pixels)
    return ""


def _warn(part: Findings, reasons: Mapping[int, str]) -> None:
    """Warn of the files of one source that are left out."""
    if not reasons:
        return
    names: defaultdict[str, list[str]] = defaultdict(list)
    for file in part.usable:
        if id(file) in reasons:
            names[reasons[id(file)]].append(file.name)
    texts = [
        f"{len(names[reason])} {'has' if len(names[reason]) == 1 else 'have'} {text}"
        f" ({first_of(names[reason], _LISTED, written=repr)})"
        for reason, text in _TEXTS.items()
        if names[reason]
    ]
    total = counted(len(part.usable), "image")
    part.reading.reporter.warning(f"{len(reasons)} of {total} left out: {', '.join(texts)}")


def _counts(part: Findings, reasons: Mapping[int, str], unknown: int) -> dict[str, int]:
    counts = Counter(reasons[id(file)] for file in part.usable if id(file) in reasons)
    return {**dict(sorted(counts.items())), **({UNKNOWN_CLASS: unknown} if unknown else {})}


def _check_added(added: Collection[str], used: Sequence[IngestedFile]) -> None:
    """Raise `DataError` if no related image of an added class is left."""
    for label in sorted({*added} - {file.label for file in used}):
        raise DataError(
            f"class {label!r} has no training image, and its related images cannot be used",
            "add images of it to data.train or data.related",
        )


def _split(name: str, files: Sequence[IngestedFile], labels: tuple[str, ...], findings: Findings) -> Split | None:
    return split_of(name, files, labels, findings) if files else None


def _record(file: IngestedFile, reason: str) -> Record:
    record = file.record("" if reason or file.entry.problem else file.split)
    return replace(record, problem=f"left out: {_TEXTS[reason]}") if reason else record
