"""Which images belong together: by a column of the table, or by a regular expression on the path."""

from __future__ import annotations

import re
from collections.abc import Sequence

from transfercli.data.sources.folders import Item
from transfercli.data.sources.keras_datasets import Arrays
from transfercli.errors import DataError
from transfercli.reporting import Reporter

_LISTED = 3


def find_groups(group: str, items: Sequence[Item], arrays: Sequence[Arrays], reporter: Reporter) -> dict[str, str]:
    """Name of an image -> its group, for `data.group`; an image that has none stays by itself, with a warning.

    Raises DataError, saying what was tried, where no image is in a group.
    """
    names = [item.name for item in items if item.counted] + [name for part in arrays for name in part.names]
    groups = {item.name: item.group for item in items if item.group}
    how = f"column {group!r}"
    if not groups:
        how = f"regular expression {group!r}"
        expression = re.compile(group)
        groups = {name: found for name in names if (found := _matched(expression, name))}
    if not groups and names:
        shown = ", ".join(map(repr, names[:_LISTED]))
        raise DataError(
            f"data.group: {group!r} is no column with values in the images' table, and as a regular expression it "
            f"matches none of {len(names)} paths (such as {shown})",
            "paths are relative to data.train; try ^([^/]+/[^_]+)_ for cat/anna_01.jpg",
        )
    alone = [name for name in names if name not in groups]
    if alone:
        shown = ", ".join(map(repr, alone[:_LISTED]))
        reporter.warning(f"data.group: {len(alone)} of {len(names)} images are in no group by the {how}: {shown}")
    return groups


def _matched(expression: re.Pattern[str], name: str) -> str:
    found = expression.search(name)
    if found is None:
        return ""
    return (found.group(1) if expression.groups else found.group()) or ""
