"""Tables of which no path leads to a file: the place looked at, and the template that finds the files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from transfercli.config.paths import is_address
from transfercli.data.archive_members import exists
from transfercli.data.sources.folders import IMAGE_EXTENSIONS, Item, sub_folders
from transfercli.errors import DataError
from transfercli.text import counted

_MAX_FOLDERS = 50  # sub-folders in which the file is looked for


def check_found(items: Sequence[Item], base: Path, template: str | None, copies: Path) -> None:
    """Raise `DataError` if none of the files of a split exists, as when all paths start in another folder.

    Args:
        base: folder that the names of the items are relative to.
        template: `data.path_template`, which made the names.
        copies: folder of the local copies of remote objects, which may not be here yet.
    """
    for split in sorted({item.split for item in items}):
        members = [item for item in items if item.split == split]
        if any(item.problem or item.file.startswith(f"{copies}/") or _exists(item.file) for item in members):
            continue
        first = members[0]
        raise DataError(
            f"none of the {counted(len(members), 'path')} of {split} images leads to a file: {first.name!r} was looked"
            f" for at {first.file!r}",
            _hint(first, base, template),
        )


def _exists(file: str) -> bool:
    return os.path.lexists(file) or exists(file)


def _hint(item: Item, base: Path, template: str | None) -> str:
    if is_address(item.name) or item.name.startswith("file:"):
        return "give paths relative to the table's folder, or addresses that begin with s3, gs, hf or https"
    if "\\" in item.name:
        return "write / between folders: a backslash is part of a name here, and a drive such as C: does not exist"
    if found := find_template(item.name, "" if item.several else item.label, base):
        place, file = found
        return f"{file!r} exists: set data.path_template: '{place.replace('{path}', template or '{path}')}'"
    mend = "set data.path_template, such as images/{path}"
    if template is not None:
        mend = f"correct data.path_template, which is {template!r}"
    return f"paths in a table are relative to its folder: correct them, or {mend}"


def find_template(name: str, label: str, base: Path) -> tuple[str, str] | None:
    """Return the path template by which the name of an image leads to a file, and this file; None if none does.

    label: its class, or "" if it has no folder. base: folder that the name is relative to.
    """
    return next((found for found in _candidates(name, label, base) if Path(found[1]).is_file()), None)


def _candidates(name: str, label: str, base: Path) -> Iterator[tuple[str, str]]:
    """Yield (template, file) of usual places: with an extension, in a sub-folder, in a folder of the class."""
    try:
        folders = ["", *sub_folders(base)[:_MAX_FOLDERS]]
    except DataError:
        return
    for folder in folders:
        for middle, shown in (("", ""), (label, "{label}"))[: 2 if label else 1]:
            for extension in ("", *sorted(IMAGE_EXTENSIONS)):
                parts = [part for part in (folder, shown, f"{{path}}{extension}") if part]
                yield "/".join(parts), os.path.join(base, folder, middle, name + extension)  # noqa: PTH118
