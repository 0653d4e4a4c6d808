"""Corrected data set: the images as they were read, with the labels that a log of decisions gives them.

A decision is about a picture, so both its path and its content must be those of the image; the label is never taken
from another image by guessing. Nothing is decoded again: caches know images by their content.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial

from transfercli.config.schema import ExpectConfig
from transfercli.data.corrections.log import Decision
from transfercli.data.corrections.source import (
    CHANGED,
    GONE,
    LABELLED_SINCE,
    UNREADABLE,
    AppliedCorrections,
    Corrections,
)
from transfercli.data.label_sets import LabelSet
from transfercli.data.sources.labels import find_label, normalised_label, shown
from transfercli.data.sources.listing import HELD_OUT, Listing
from transfercli.data.validation import Findings, IngestedFile
from transfercli.errors import DataError
from transfercli.text import did_you_mean


def with_corrections(
    findings: Findings, corrections: Corrections, expected: ExpectConfig | None, whole: Listing | None = None
) -> Findings:
    """Return the images with corrected labels, report their number, and keep the facts in `Findings.corrections`.

    whole: all of the data, if the images are a part of it; decisions may then be about others. Raises `DataError` for a
    label that is no class of the data: a new class must be named in `data.expect.classes`, so that a slip makes none.
    """
    decided, unused = _decided(findings.files, corrections, findings.listing.several)
    labels = _checked_labels(
        whole or findings.listing, [found[-1] for found in decided.values()], corrections.name, expected
    )
    files = list[IngestedFile]()
    for number, file in enumerate(findings.files):
        found = decided.get(number)
        files.append(replace(file, label=labels[found[-1].new], decided=True) if found else file)
    changed = sum(file.label != before.label for file, before in zip(files, findings.files, strict=True))
    contents = frozenset((files[row].entry.sha256, files[row].label) for row in decided)
    applied = AppliedCorrections(corrections, changed, len(decided) - changed, {} if whole else unused, contents)
    applied.report(findings.reading.reporter)
    listing = _relabelled(findings.listing, [file.label for file in files])
    return replace(findings, listing=listing, files=files, corrections=applied)


def _decided(
    files: Sequence[IngestedFile], corrections: Corrections, several: bool
) -> tuple[dict[int, list[Decision]], dict[str, list[str]]]:
    """Return the decisions of each file, by its row, and the paths of images whose decisions do not hold, by reason.

    A file that was renamed is known by its content and its label, if no decision names it under its own path.
    """
    by_path, by_content = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
    for row, file in enumerate(files):
        by_path[file.name].append(row)
        by_content[file.entry.sha256].append(row)
    images = corrections.of_images()
    known = {image: _labels_seen(found, several) for image, found in images.items()}
    decided: dict[int, list[Decision]] = {}
    unused: defaultdict[str, list[str]] = defaultdict(list)
    for (path, content), found in images.items():
        rows = by_path[path]
        if not rows:
            rows = [
                row
                for row in by_content[content]
                if (files[row].name, content) not in images and files[row].label in known[path, content]
            ]
        reason = _reason(files, rows, content, known[path, content])
        if reason:
            unused[reason].append(path)
        else:
            decided |= dict.fromkeys(rows, found)
    return decided, unused


def _reason(files: Sequence[IngestedFile], rows: Sequence[int], content: str, known: Collection[str]) -> str:
    """Return the reason that decisions do not hold for the files at `rows`, or "". known: labels that they saw."""
    if not rows:
        return GONE
    contents = {files[row].entry.sha256 for row in rows}
    if contents != {content}:
        return UNREADABLE if contents == {""} else CHANGED
    return "" if all(files[row].label in known for row in rows) else LABELLED_SINCE


def _labels_seen(found: Sequence[Decision], several: bool) -> set[str]:
    """Return the labels that decisions on an image saw or gave, as the data writes them."""
    texts = {text for decision in found for text in (decision.old, decision.new)}
    return {_set_text(text) if several else normalised_label(text) for text in texts}


def _set_text(text: str) -> str:
    """Return the text of a label set as the data writes it, if a person wrote it another way."""
    try:
        labels = LabelSet.read(text)
    except ValueError:  # `new` is checked later
        return text
    return LabelSet.of(map(normalised_label, labels.has), map(normalised_label, labels.unknown)).text


def _checked_labels(
    listing: Listing, decisions: Sequence[Decision], name: str, expected: ExpectConfig | None
) -> dict[str, str]:
    """Return the label of each decision's text, as the data writes it. Raises `DataError` if one is unknown."""
    texts = {decision.new for decision in decisions}
    if listing.quantity:
        return {text: _number(text, name) for text in texts}
    named = expected.classes if expected and isinstance(expected.classes, list) else []
    known = listing.classes.union(*map(listing.labels_of, HELD_OUT), map(normalised_label, named))
    read = partial(_read_label, known=known, name=name, noun=listing.nouns[0])
    if not listing.several:
        return {text: read(text) for text in texts}
    labels = {}
    for text in texts:
        try:
            found = LabelSet.read(text)
        except ValueError as error:
            raise DataError(
                f"{name}: {error}", 'write a set of labels as in dataset.csv: ["blurry", "green"]'
            ) from None
        labels[text] = LabelSet.of(map(read, found.has), map(read, found.unknown)).text
    return labels


def _read_label(text: str, known: Collection[str], name: str, noun: str) -> str:
    label = find_label(text, known)
    if label is None:
        near = did_you_mean(text, sorted(known))
        mend = f"correct the row, or name it in data.expect.classes if it is a new {noun}"
        raise DataError(f"{name}: {shown(text, known)} is no {noun} of the data", f"{near} {mend}".strip())
    return label


def _number(text: str, name: str) -> str:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not abs(number) < float("inf"):
        raise DataError(f"{name}: {text!r} is not a number", "task: regression needs the number of the image")
    return text


def _relabelled(listing: Listing, labels: Sequence[str]) -> Listing:
    """Return a listing with other labels, in the order of its items and then of its arrays."""
    given: Iterator[str] = iter(labels)
    items = [replace(item, label=label) for item, label in zip(listing.items, given, strict=False)]
    arrays = [replace(part, labels=[next(given) for _ in part.names]) for part in listing.arrays]
    return replace(listing, items=items, arrays=arrays)
