"""Suggestions of groups: signs that images are not independent, although `data.group` is not set.

There are three signs: names with a running number (anna_001.jpg, anna_002.jpg), bursts of a camera, and near
duplicates. A sign must be seen on many images, because a counter of all files is no group.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from transfercli.text import counted

EXPRESSION = r"([^/]+?)[ _.-]+\(?\d+\)?(?:\.[^./]+)?$"
_NAME = re.compile(r"([^/]+?)[ _.-]+\(?(\d+)\)?(?:\.[^./]+)?$")
_DATE = re.compile(r"(?:19|20)\d\d[-_.]?[01]\d$")  # what is left of 2024-05-17 without its last number
# Names that cameras, phones and programs give to all of their files.
_COUNTERS = frozenset(
    [
        "img",
        "image",
        "images",
        "photo",
        "picture",
        "pic",
        "foto",
        "bild",
        "dsc",
        "dscn",
        "dscf",
        "pxl",
        "gopr",
        "frame",
        "scan",
        "screenshot",
        "capture",
        "file",
        "sample",
        "train",
        "test",
        "val",
        "validation",
    ]
)
MIN_GROUPS = 5
LARGEST = 50  # images of the median group; more are rather a class than a subject
DENSE = 2.0  # the numbers of a group span at most this many times its images: they count them
SHARE = 0.1  # of the images that must be in bursts or near duplicates


@dataclass(frozen=True, slots=True)
class GroupSuggestion:
    """A sign of groups.

    found_by: `names`, `bursts` or `near duplicates`; images: number of images in groups of at least two; groups: number
    of these groups; expression: for `data.group`, None if paths do not show the groups
    """

    found_by: str
    images: int
    groups: int
    expression: str | None = None

    def __str__(self) -> str:
        signs = {
            "names": "names with a running number",
            "bursts": "the same second and camera in EXIF",
            "near duplicates": "near duplicates",
        }
        found = (
            f"{counted(self.images, 'image')} seem to be in {counted(self.groups, 'group')} ({signs[self.found_by]})"
        )
        if self.expression is not None:
            return f"{found}; if they are, set data.group: '{self.expression}'"
        return f"{found}; if they are, name them in a column of a table, and set data.group to it"


def suggest_groups(
    paths: Sequence[str], labels: Sequence[str], moments: Sequence[str], near: Sequence[Sequence[int]]
) -> GroupSuggestion | None:
    """Return the first sign of groups, or None.

    Args:
        paths: relative path of each image.
        labels: class of each image.
        moments: second and camera of each image (`FileHeader.moment`), or "".
        near: rows of each set of near duplicates.
    """
    return (
        _by_names(paths, labels)
        or _by_sets("bursts", list(Counter(filter(None, moments)).values()), len(paths))
        or _by_sets("near duplicates", list(map(len, near)), len(paths))
    )


def _by_names(paths: Sequence[str], labels: Sequence[str]) -> GroupSuggestion | None:
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    groups_of: defaultdict[str, set[str]] = defaultdict(set)
    for path, label in zip(paths, labels, strict=True):
        match = _NAME.search(path)
        if match and not _is_counter(match[1], label) and not _DATE.match(match[1]):
            numbers[match[1]].append(int(match[2][:18]))
            groups_of[label].add(match[1])
    groups = {name: found for name, found in numbers.items() if len(found) > 1}
    counting = [name for name, found in groups.items() if max(found) - min(found) < DENSE * len(set(found))]
    images = sum(map(len, groups.values()))
    several = sum(len(names & groups.keys()) > 1 for names in groups_of.values())
    if (
        len(groups) < MIN_GROUPS
        or len(counting) < len(groups) / 2
        or images < len(paths) / 2
        or several < len(set(labels)) / 2
        or median(map(len, groups.values())) > LARGEST
    ):
        return None
    return GroupSuggestion("names", images, len(groups), EXPRESSION)


def _is_counter(name: str, label: str) -> bool:
    """Return True for a name that all files of a camera, a program or a class share."""
    word = re.sub(r"[\W\d_]+", "", name).casefold()
    return word in _COUNTERS or (word != "" and word == re.sub(r"[\W\d_]+", "", label).casefold())


def _by_sets(found_by: str, sizes: Sequence[int], images: int) -> GroupSuggestion | None:
    """Return a suggestion if there are enough sets; a set of half of all images is no sign of a subject."""
    several = [size for size in sizes if 1 < size <= images / 2]
    if len(several) < MIN_GROUPS or sum(several) < SHARE * images:
        return None
    return GroupSuggestion(found_by, sum(several), len(several))
