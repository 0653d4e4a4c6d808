"""`data diff`: what changed between the images that a run recorded and those that are there now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from transfercli.data.dataset import Record


@dataclass(frozen=True)
class Difference:
    """Lists of paths, sorted.

    Attributes:
        changed: other bytes under the same path, or usable only before or only now.
        relabelled: the same bytes under another class; the present path of what was moved between class folders.
        earlier_labels: path of each relabelled image -> the class it had.
        renamed: [earlier, present] path of the same bytes in the same class and on the same side; no change.
        moved: paths of unchanged images that are on another side than they were.
    """

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    relabelled: list[str] = field(default_factory=list)
    new_classes: list[str] = field(default_factory=list)
    lost_classes: list[str] = field(default_factory=list)
    earlier_labels: dict[str, str] = field(default_factory=dict)
    renamed: list[list[str]] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    same: int = 0

    @property
    def unchanged(self) -> bool:
        """Whether a training would see the same images, classes and sides."""
        lists = (self.added, self.removed, self.changed, self.relabelled, self.new_classes, self.lost_classes)
        return not any(lists) and not self.moved

    def as_result(self) -> dict[str, Any]:
        """The contract's object, and more."""
        return {
            "added": self.added,
            "removed": self.removed,
            "changed": self.changed,
            "relabelled": self.relabelled,
            "new_classes": self.new_classes,
            "lost_classes": self.lost_classes,
            "unchanged": self.unchanged,
            "earlier_labels": self.earlier_labels,
            "renamed": self.renamed,
            "moved": self.moved,
            "same": self.same,
        }


def compare(earlier: Sequence[Record], present: Sequence[Record]) -> Difference:
    """Compare two listings by path first, and what is left by content.

    A record with a problem is an image only for the other listing's sake: one that became unreadable has changed. A
    present record whose `split` is "" has a side that nobody knows, and has not moved.
    """
    before, now = _by_path(earlier), _by_path(present)
    lost = [before[path] for path in sorted(before.keys() - now.keys()) if not before[path].problem]
    new = [now[path] for path in sorted(now.keys() - before.keys()) if not now[path].problem]
    relabelled: dict[str, str] = {}
    changed, moved, same = [], [], 0
    for path in sorted(before.keys() & now.keys()):
        old, one = before[path], now[path]
        if old.problem and one.problem:
            continue
        if old.label != one.label:
            relabelled[path] = old.label
        if old.sha256 != one.sha256 or bool(old.problem) != bool(one.problem):
            changed.append(path)
        elif _sides_differ(old, one):
            moved.append(path)
        elif old.label == one.label:
            same += 1
    renamed = _renamed(lost, new)
    gone = {id(old) for old, _ in renamed}
    come = {id(one) for _, one in renamed}
    relabelled |= {one.path: old.label for old, one in renamed if old.label != one.label}
    kept = [(old, one) for old, one in renamed if old.label == one.label]
    moved += [one.path for old, one in kept if _sides_differ(old, one)]
    classes = [{record.label for record in records if not record.problem} for records in (earlier, present)]
    return Difference(
        added=[one.path for one in new if id(one) not in come],
        removed=[old.path for old in lost if id(old) not in gone],
        changed=changed,
        relabelled=sorted(relabelled),
        new_classes=sorted(classes[1] - classes[0]),
        lost_classes=sorted(classes[0] - classes[1]),
        earlier_labels=relabelled,
        renamed=[[old.path, one.path] for old, one in kept],
        moved=sorted(moved),
        same=same,
    )


def _by_path(records: Iterable[Record]) -> dict[str, Record]:
    """Records by path; of a path that serves two sides, and is listed twice, the last."""
    return {record.path: record for record in records}


def _sides_differ(old: Record, one: Record) -> bool:
    return bool(one.split) and old.split != one.split


def _renamed(lost: Sequence[Record], new: Sequence[Record]) -> list[tuple[Record, Record]]:
    """The same bytes under another name: pairs within a class first, then those whose class changed."""
    waiting: defaultdict[str, list[Record]] = defaultdict(list)
    for old in lost:
        waiting[old.sha256].append(old)
    pairs: list[tuple[Record, Record]] = []
    taken: set[int] = set()
    for same_class in (True, False):
        for one in new:
            partners = waiting.get(one.sha256, [])
            partner = next((old for old in partners if old.label == one.label or not same_class), None)
            if partner is not None and id(one) not in taken:
                partners.remove(partner)
                taken.add(id(one))
                pairs.append((partner, one))
    return pairs
