"""Difference between the images that a run recorded and the present ones (`data diff`)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transfercli.data.dataset import Record
from transfercli.data.label_sets import LabelSet


@dataclass(frozen=True)
class Difference:
    """Difference between two data sets, as sorted lists of paths.

    Attributes:
        changed: images with other bytes under the same path, or that became usable or unusable.
        relabelled: images with the same bytes in another class; the present path if it changed.
        earlier_labels: path of each relabelled image -> its earlier class; present_labels: -> its present one.
        renamed: [earlier, present] path of images with the same bytes and class; not counted as a change.
        moved: unchanged images that are in another split than before.
        same: number of images without any change.
        several: an image may have several labels: each of these classes is the text of a label set.
        auxiliary: `unlabelled` and `related` -> the difference of these images; empty if neither has any.
    """

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    relabelled: list[str] = field(default_factory=list)
    new_classes: list[str] = field(default_factory=list)
    lost_classes: list[str] = field(default_factory=list)
    earlier_labels: dict[str, str] = field(default_factory=dict)
    present_labels: dict[str, str] = field(default_factory=dict)
    renamed: list[list[str]] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    same: int = 0
    several: bool = False
    auxiliary: Mapping[str, Difference] = field(default_factory=dict)

    @property
    def unchanged(self) -> bool:
        """True if training would use the same images, classes and splits."""
        if not all(part.unchanged for part in self.auxiliary.values()):
            return False
        lists = (self.added, self.removed, self.changed, self.relabelled, self.new_classes, self.lost_classes)
        return not any(lists) and not self.moved

    def as_result(self) -> dict[str, Any]:
        """Return the JSON result of `data diff`."""
        return {
            "added": self.added,
            "removed": self.removed,
            "changed": self.changed,
            "relabelled": self.relabelled,
            "new_classes": self.new_classes,
            "lost_classes": self.lost_classes,
            "unchanged": self.unchanged,
            "earlier_labels": {path: self._as_json(label) for path, label in self.earlier_labels.items()},
            "renamed": self.renamed,
            "moved": self.moved,
            "same": self.same,
            "auxiliary": {name: part.image_lists for name, part in self.auxiliary.items()},
        }

    def _as_json(self, label: str) -> Any:
        """Return a class, or the list of an image's labels; if some are unknown, {"has": [...], "unknown": [...]}."""
        return json.loads(label) if self.several else label

    @property
    def label_changes(self) -> list[tuple[str, str, str]]:
        """Path, former and present class of each relabelled image, or its labels for a person to read."""
        former, present = self.earlier_labels, self.present_labels
        return [(path, self._shown(former[path]), self._shown(present[path])) for path in self.relabelled]

    def _shown(self, label: str) -> str:
        return LabelSet.read(label).shown if self.several else label

    @property
    def image_lists(self) -> dict[str, list[str]]:
        """Paths of the images by kind of change."""
        kinds = ("added", "removed", "changed", "relabelled")
        return {kind: getattr(self, kind) for kind in kinds}


def compare(earlier: Sequence[Record], present: Sequence[Record], *, several: bool = False) -> Difference:
    """Compare two lists of records: first by path, then by content what is not the same there.

    So two images of different classes that change places are relabelled. An image that became unusable or usable has
    changed; a record with a problem in both lists is ignored. A present record whose `split` is "" has an unknown
    split, and has not moved.

    several: an image may have several labels; these are the classes then, and an image with other ones is relabelled.
    """
    before, now = _by_path(earlier), _by_path(present)
    gone = [before[path] for path in sorted(before.keys() - now.keys()) if not before[path].problem]
    new = [now[path] for path in sorted(now.keys() - before.keys()) if not now[path].problem]
    relabelled: dict[str, str] = {}
    changed, moved, same = [], [], 0
    for path in sorted(before.keys() & now.keys()):
        old, record = before[path], now[path]
        if old.problem and record.problem:
            continue
        if old.label != record.label:
            relabelled[path] = old.label
        if old.sha256 != record.sha256 or bool(old.problem) != bool(record.problem):
            changed.append(path)
        elif _splits_differ(old, record):
            moved.append(path)
        elif old.label == record.label:
            same += 1
    exchanged = [path for path in changed if not (before[path].problem or now[path].problem)]
    pairs = _same_content([*gone, *(before[path] for path in exchanged)], [*new, *(now[path] for path in exchanged)])
    paired = {id(record) for pair in pairs for record in pair}
    # What was at a path is elsewhere now, and what is there now was elsewhere: nothing new, and nothing lost.
    changed = [path for path in changed if not {id(before[path]), id(now[path])} <= paired]
    relabelled |= {record.path: old.label for old, record in pairs if old.label != record.label}
    renamed = [(old, record) for old, record in pairs if old.label == record.label]
    moved += [record.path for old, record in renamed if _splits_differ(old, record)]
    classes = [_classes(records, several=several) for records in (earlier, present)]
    return Difference(
        added=[record.path for record in new if id(record) not in paired],
        removed=[record.path for record in gone if id(record) not in paired],
        changed=changed,
        relabelled=sorted(relabelled),
        new_classes=sorted(classes[1] - classes[0]),
        lost_classes=sorted(classes[0] - classes[1]),
        earlier_labels=relabelled,
        present_labels={path: now[path].label for path in relabelled},
        renamed=[[old.path, record.path] for old, record in renamed],
        moved=sorted(moved),
        same=same,
        several=several,
    )


def _classes(records: Sequence[Record], *, several: bool) -> set[str]:
    """Return the classes of usable images, or the labels that are known of one of them or unknown."""
    texts = {record.label for record in records if not record.problem}
    return {label for text in texts for label in LabelSet.read(text).named} if several else texts


def compare_auxiliary(earlier: Sequence[Record], present: Sequence[Record]) -> dict[str, Difference]:
    """Compare the auxiliary images that were used, by split; a split without any, then and now, is left out."""
    splits = sorted({record.split for record in (*earlier, *present)} - {""})
    return {
        split: compare(*([record for record in records if record.split == split] for records in (earlier, present)))
        for split in splits
    }


def _by_path(records: Iterable[Record]) -> dict[str, Record]:
    """Return records by path; the last one if a path is listed in two splits."""
    return {record.path: record for record in records}


def _splits_differ(old: Record, new: Record) -> bool:
    return bool(new.split) and old.split != new.split


def _same_content(gone: Sequence[Record], new: Sequence[Record]) -> list[tuple[Record, Record]]:
    """Return pairs (gone, new) with the same bytes: first within a class, then across classes."""
    waiting: defaultdict[str, list[Record]] = defaultdict(list)
    for old in gone:
        waiting[old.sha256].append(old)
    pairs: list[tuple[Record, Record]] = []
    paired: set[int] = set()
    for same_class in (True, False):
        for record in new:
            candidates = waiting.get(record.sha256, [])
            partner = next((old for old in candidates if old.label == record.label or not same_class), None)
            if partner is not None and id(record) not in paired:
                candidates.remove(partner)
                paired.add(id(record))
                pairs.append((partner, record))
    return pairs
