"""Changes between the training images of two runs, in a few groups that a person can name."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from transfercli.data.dataset import Record
from transfercli.text import counted

Kind = Literal["added", "removed", "changed", "relabelled", "moved in", "moved out", "others"]
MAIN_SHARE = 0.25  # of a kind's images, from which a class or a folder is a group of its own


@dataclass(frozen=True)
class Change:
    """Change of one training image.

    before: its record in the training images of the first run, or None; after: in those of the second, or None.
    """

    kind: Kind
    before: Record | None
    after: Record | None

    @property
    def record(self) -> Record:
        """The image as the first run had it, or as the second has it if the first did not have it."""
        record = self.before or self.after
        assert record is not None
        return record


@dataclass(frozen=True)
class Group:
    """Changes of one kind, of one class or source folder if that says more.

    Attributes:
        label: class of the images, the earlier one if they are relabelled; None for several classes.
        new_label: present class of relabelled images; None for several classes.
        folder: source folder of the images (`source_folder`); None if it says nothing.
    """

    kind: Kind
    changes: tuple[Change, ...]
    label: str | None = None
    new_label: str | None = None
    folder: str | None = None

    @property
    def text(self) -> str:
        """The group in words, such as `12 relabelled images of 'boot'`."""
        words = {"added": "new", "moved in": "", "moved out": "", "others": "other changed"}.get(self.kind, self.kind)
        text = counted(len(self.changes), f"{words} image".strip())
        if self.label is not None:
            text += f" of {self.label!r}"
        if self.kind == "relabelled" and self.new_label is not None:
            text += f" as {self.new_label!r}" if self.label is not None else f" to {self.new_label!r}"
        if self.folder is not None:
            text += f" in {self.folder!r}"
        if self.kind == "moved in":
            text += " moved to the training images"
        if self.kind == "moved out":
            text += " moved out of the training images"
        return text


def training_changes(first: Sequence[Record], second: Sequence[Record]) -> tuple[list[Record], list[Change]]:
    """Return the training images that two runs have in common, as the second recorded them, and the changes.

    Only content and class count, since a head learns nothing from a name: a renamed image is in common. `data diff`
    compares files instead. Bytes in another class are relabelled, and other bytes under the same path are changed. An
    added or removed image that the other run has in another split has moved. An image that is listed twice counts
    twice.
    """
    before, after, common = _not_in_common(_training(first), _training(second))
    relabelled, before, after = _paired(before, after, lambda record: record.sha256)
    changed, before, after = _paired(before, after, lambda record: record.path)
    held_out = [{r.sha256 for r in records if r.split not in ("train", "")} for records in (first, second)]
    return common, [
        *(Change("relabelled", *pair) for pair in relabelled),
        *(Change("changed", *pair) for pair in changed),
        *(Change("moved in" if record.sha256 in held_out[0] else "added", None, record) for record in after),
        *(Change("moved out" if record.sha256 in held_out[1] else "removed", record, None) for record in before),
    ]


def _training(records: Iterable[Record]) -> list[Record]:
    return [record for record in records if record.split == "train" and not record.problem]


def _not_in_common(
    first: Sequence[Record], second: Sequence[Record]
) -> tuple[list[Record], list[Record], list[Record]]:
    """Return the records that only the first has, those that only the second has, and those in common."""
    waiting = Counter((record.sha256, record.label) for record in first)
    common, after = [], []
    for record in second:
        key = (record.sha256, record.label)
        (common if waiting[key] > 0 else after).append(record)
        waiting[key] -= 1
    before = []
    for record in first:
        key = (record.sha256, record.label)
        if waiting[key] > 0:
            before.append(record)
            waiting[key] -= 1
    return before, after, common


def _paired(
    before: Sequence[Record], after: Sequence[Record], key: Callable[[Record], str]
) -> tuple[list[tuple[Record, Record]], list[Record], list[Record]]:
    """Return the pairs of records with the same key, and the records of either list without a partner."""
    waiting = defaultdict(list)
    for record in before:
        waiting[key(record)].append(record)
    pairs, alone = [], []
    for record in after:
        if partners := waiting[key(record)]:
            pairs.append((partners.pop(), record))
        else:
            alone.append(record)
    return pairs, [record for records in waiting.values() for record in records], alone


def grouped(changes: Sequence[Change], most: int) -> list[Group]:
    """Return the changes in at most `most` groups, those of a kind together.

    A kind is divided by class, else by source folder, if a few of these have most of its images; what is left of it is
    one more group. If there are too many groups, the smallest are merged.
    """
    kinds: defaultdict[Kind, list[Change]] = defaultdict(list)
    for change in changes:
        kinds[change.kind].append(change)
    folders = {source_folder(change.record) for change in changes}
    groups = [group for same_kind in kinds.values() for group in _divided(same_kind, divisible=len(folders) > 1)]
    if len(groups) > most:
        groups.sort(key=lambda group: -len(group.changes))
        rest = [change for group in groups[most - 1 :] for change in group.changes]
        one_kind = {change.kind for change in rest}
        groups = [*groups[: most - 1], _group(one_kind.pop() if len(one_kind) == 1 else "others", rest)]
    return groups


def source_folder(record: Record) -> str:
    """Return the folder of an image without the folders named as its class: of `boot/camera2/1.png`, `camera2`."""
    return "/".join(part for part in record.path.split("/")[:-1] if part not in (record.label, ".."))


def _divided(changes: Sequence[Change], *, divisible: bool) -> list[Group]:
    """Return the groups of changes of one kind; divisible: their folders differ."""
    kind = changes[0].kind
    labels = [lambda change: change.record.label]
    if kind == "relabelled":
        labels.append(lambda change: change.after.label)
    divisions = [_division(changes, label) for label in labels]
    divisions = [division for division in divisions if division] or (
        [_division(changes, lambda change: source_folder(change.record))] if divisible else []
    )
    parts = min((division for division in divisions if division), key=len, default=[list(changes)])
    return [_group(kind, part, divisible=divisible) for part in parts]


def _division(changes: Sequence[Change], key: Callable[[Change], str]) -> list[list[Change]]:
    """Return the changes by key, those of rare keys in one last list; empty if the rare ones are more than half."""
    parts: defaultdict[str, list[Change]] = defaultdict(list)
    for change in changes:
        parts[key(change)].append(change)
    main = [part for part in parts.values() if len(part) >= MAIN_SHARE * len(changes)]
    rest = [change for part in parts.values() if part not in main for change in part]
    if len(rest) * 2 > len(changes):
        return []
    return [*main, rest] if rest else main


def _group(kind: Kind, changes: Sequence[Change], *, divisible: bool = False) -> Group:
    """Return a group, with the class and the folder that all of its changes share."""
    new_label = _shared(c.after.label for c in changes if c.after) if kind == "relabelled" else None
    folder = _shared(source_folder(change.record) for change in changes) if divisible else None
    return Group(kind, tuple(changes), _shared(c.record.label for c in changes), new_label, folder or None)


def _shared(values: Iterable[str]) -> str | None:
    found = set(values)
    return found.pop() if len(found) == 1 else None
