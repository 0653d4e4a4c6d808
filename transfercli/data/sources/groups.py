"""Groups of images that stay in one split, by a column of the table or a regular expression on the path."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from transfercli.data.dataset import Record
from transfercli.data.sources.folders import Item
from transfercli.data.sources.keras_datasets import Arrays
from transfercli.errors import DataError
from transfercli.reporting import Reporter
from transfercli.text import did_you_mean

_LISTED = 3


def find_groups(
    group: str, items: Sequence[Item], arrays: Sequence[Arrays], reporter: Reporter, columns: Sequence[str] = ()
) -> dict[str, str]:
    """Return name of an image -> its group, by `data.group`; warn of images without a group.

    columns: names of the table's columns, for the error.
    Raises `DataError` if no image is in a group.
    """
    names = [item.name for item in items if item.is_image] + [name for part in arrays for name in part.names]
    groups = {item.name: item.group for item in items if item.group}
    source = f"column {group!r}"
    if not groups:
        source = f"regular expression {group!r}"
        groups = {name: value for name in names if (value := matched_group(group, name))}
    if not groups and names:
        shown = ", ".join(map(repr, names[:_LISTED]))
        raise DataError(
            f"data.group: {group!r} is not a column with values in the images' table, and as a regular expression it "
            f"matches none of {len(names)} paths (such as {shown})",
            _hint(group, columns),
        )
    alone = [name for name in names if name not in groups]
    if alone:
        shown = ", ".join(map(repr, alone[:_LISTED]))
        reporter.warning(f"data.group: {len(alone)} of {len(names)} images have no group by the {source}: {shown}")
    return groups


def _hint(group: str, columns: Sequence[str]) -> str:
    expression = "try ^([^/]+/[^_]+)_ for cat/anna_01.jpg"
    if group in columns:
        return f"fill the column, which is empty, or {expression}"
    if not columns:
        return f"paths are relative to data.train; {expression}"
    near = did_you_mean(group, columns)
    allowed = f"the table has the columns {', '.join(columns)}; for a regular expression, {expression}"
    return f"{near} {allowed}" if near else allowed


def groups_if_any(group: str | None, items: Sequence[Item], reporter: Reporter) -> dict[str, str]:
    """Return the groups of images that are not the config's own, by its `data.group`; warn if they have none."""
    if group is None:
        return {}
    try:
        return find_groups(group, items, (), reporter)
    except DataError as error:
        reporter.warning(f"these images are taken as independent of each other: {error.message}")
        return {}


def with_groups(records: Sequence[Record], group: str | None) -> list[Record]:
    """Return the records of a run from before groups were recorded, with their groups by a regular expression."""
    if group is None or any(record.group for record in records):
        return list(records)
    return [replace(record, group=matched_group(group, record.path)) for record in records]


def is_expression(group: str, records: Sequence[Record]) -> bool:
    """Return True if `data.group` is a regular expression, not a column: it gives the recorded groups of a run."""
    return all(matched_group(group, record.path) == record.group for record in records if record.group)


def matched_group(group: str, name: str) -> str:
    """Return the first group of a regular expression's match in a path, the whole match if it has no group, or ""."""
    expression = re.compile(group)  # cached by Python
    match = expression.search(name)
    if match is None:
        return ""
    return (match.group(1) if expression.groups else match.group()) or ""
