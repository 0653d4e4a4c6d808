"""Changes between the training images of two runs, in a few groups that a person can name."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from transfercli.data.dataset import Record
from transfercli.text import counted

Kind = Literal["added", "removed", "changed", "relabelled", "moved in", "moved out", "others"]
# A class or folder is a group of its own if it has this share of a kind's images, and so many times its share of the
# other training images: 40 new images of all classes are one group.
MAIN_SHARE, TIMES_USUAL = 0.25, 2.0


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
        folder: source folder of the images (`Record.source_folder`); None if it says nothing.
        rest: True if other groups have the frequent classes or folders of this kind.
    """

    kind: Kind
    changes: tuple[Change, ...]
    label: str | None = None
    new_label: str | None = None
    folder: str | None = None
    rest: bool = False

    @property
    def text(self) -> str:
        """The group in words, such as `12 relabelled images of 'boot'`."""
        opening, ending = _WORDS[self.kind]
        other = "other " if self.rest else ""
        text = counted(len(self.changes), f"{other}{opening}image")
        if self.label is not None:
            text += f" of {self.label!r}"
        if self.new_label is not None:
            text += f" as {self.new_label!r}"
        if self.folder is not None:
            text += f" in {self.folder!r}"
        return text + ending


# Kind -> the words before and after `image`.
_WORDS: dict[Kind, tuple[str, str]] = {
    "added": ("new ", ""),
    "removed": ("removed ", ""),
    "changed": ("changed ", ""),
    "relabelled": ("relabelled ", ""),
    "moved in": ("", " moved to the training images"),
    "moved out": ("", " moved out of the training images"),
    "others": ("other ", " (added, removed, changed or relabelled)"),
}


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
    common: list[Record] = []
    after: list[Record] = []
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


def grouped(common: Sequence[Record], changes: Sequence[Change], most: int) -> list[Group]:
    """Return the changes in at most `most` groups, those of a kind together.

    A kind is divided by class, or else by source folder, if some of these are clearly more frequent in it than among
    the images in common and have most of its images. If there are too many groups, the smallest are merged.
    """
    kinds: defaultdict[Kind, list[Change]] = defaultdict(list)
    for change in changes:
        kinds[change.kind].append(change)
    groups = [group for same_kind in kinds.values() for group in _divided(common, same_kind)]
    if len(groups) > most:
        groups.sort(key=lambda group: -len(group.changes))
        rest = [change for group in groups[most - 1 :] for change in group.changes]
        kind: Kind = rest[0].kind if len({change.kind for change in rest}) == 1 else "others"
        kept = groups[: most - 1]
        groups = [*kept, Group(kind, tuple(rest), rest=any(group.kind == kind for group in kept))]
    return groups


def _divided(common: Sequence[Record], changes: Sequence[Change]) -> list[Group]:
    """Return the groups of changes of one kind."""
    kind = changes[0].kind
    earlier = _division(common, changes, lambda change: change.record, _label)
    present = _division(common, changes, lambda change: change.after or change.record, _label)
    by_class = [division for division in (earlier, present) if division]
    by_folder = _division(common, changes, lambda change: change.record, _source_folder)
    main, rest = min(by_class, key=lambda division: len(division[0]), default=by_folder or ([], list(changes)))
    folders = Counter(map(_source_folder, common))
    groups = [_group(kind, part, folders) for part in main]
    return [*groups, replace(_group(kind, rest, folders), rest=bool(main))] if rest else groups


def _label(record: Record) -> str:
    return record.label


def _source_folder(record: Record) -> str:
    return record.source_folder


def _division(
    common: Sequence[Record],
    changes: Sequence[Change],
    image: Callable[[Change], Record],
    key: Callable[[Record], str],
) -> tuple[list[list[Change]], list[Change]] | None:
    """Return the changes of each frequent key, and those of all others; None if the others are more than half."""
    usual = Counter(map(key, common))
    parts: defaultdict[str, list[Change]] = defaultdict(list)
    for change in changes:
        parts[key(image(change))].append(change)
    shares = {name: len(part) / len(changes) for name, part in parts.items()}
    main = {
        name
        for name, share in shares.items()
        if share >= max(MAIN_SHARE, TIMES_USUAL * usual[name] / max(len(common), 1))
    }
    rest = [change for name, part in parts.items() if name not in main for change in part]
    return None if len(rest) * 2 > len(changes) else ([parts[name] for name in parts if name in main], rest)


def _group(kind: Kind, changes: Sequence[Change], folders: Counter[str]) -> Group:
    """Return a group, with the classes that all of its changes share, and the folder if that is not the usual one."""
    new_label = _shared(c.after.label for c in changes if c.after) if kind == "relabelled" else None
    folder = _shared(change.record.source_folder for change in changes)
    usual = folder is None or (len(folders) == 1 and folder in folders)
    label = _shared(change.record.label for change in changes)
    return Group(kind, tuple(changes), label, new_label, None if usual else folder or None)


def _shared(values: Iterable[str]) -> str | None:
    found = set(values)
    return found.pop() if len(found) == 1 else None
