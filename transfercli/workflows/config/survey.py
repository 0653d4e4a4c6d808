"""Survey of a data set for `config init`: names, counts and headers; no image is decoded."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from statistics import median

from transfercli.config.starter import Survey
from transfercli.errors import DataError

HEADERS = 50
EXPECTED = (
    "give a folder with one sub-folder a class, or with train/ and test/ of such, a .csv or .jsonl table, or keras:NAME"
)


def survey(data: str, folder: Path) -> Survey:
    """Return the classes and sizes of `data`, and its path relative to `folder`, the folder of the config.

    Raises `DataError` if it does not exist, is not a data set or has no classes.
    """
    from transfercli.data.sources.tables import is_table

    if data.startswith("keras:"):
        return Survey(data, {}, None, ("test",))
    path = Path(data)
    if not path.exists():
        raise DataError(f"--data {data!r} does not exist", EXPECTED)
    named = data if path.is_absolute() else Path(os.path.relpath(path, folder)).as_posix()
    if path.is_dir():
        return _folder(path, named)
    if not is_table(path):
        raise DataError(f"--data {data!r} is a file of another kind", EXPECTED)
    return Survey(named, {})


def _folder(path: Path, named: str) -> Survey:
    from transfercli.data.sources.folders import check_filled, empty_classes, folder_items, split_folders, sub_folders

    folders = split_folders(path)
    train = folders.get("train", path)
    files = folder_items(train, path, "train")
    check_filled(empty_classes(train, files))
    items = [item for item in files if not item.problem]
    if not items:
        raise DataError(f"--data {named!r} holds no images in its class folders", EXPECTED)
    if all(Path(item.file).parent != train / item.label for item in items):
        raise DataError(
            f"--data {named!r}: none of its sub-folders ({', '.join(sub_folders(train)[:5])}) has images itself, only"
            " in folders further down; they do not look like classes",
            "name the folder whose sub-folders are the classes, or, if these are, write data.train yourself",
        )
    if len({item.label for item in items}) < 2:
        raise DataError(
            f"--data {named!r} holds one class, {items[0].label!r}",
            "a classifier needs two class folders or more side by side",
        )
    counts = dict(sorted(Counter(item.label for item in items).items()))
    size, grey = _headers([item.file for item in items])
    return Survey(named, counts, size, tuple(split for split in folders if split != "train"), grey)


def _headers(files: list[str]) -> tuple[tuple[int, int] | None, bool]:
    """Return the median (height, width) of evenly chosen files, and True if all of them are grey."""
    from PIL import Image

    sizes, modes = [], set()
    for file in files[:: max(1, len(files) // HEADERS)]:
        try:
            with Image.open(file) as image:
                sizes.append((image.height, image.width))
                modes.add(image.mode)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue  # `data check` reports broken images; here they are left out
    if not sizes:
        return None, False
    heights, widths = zip(*sizes, strict=True)
    return (round(median(heights)), round(median(widths))), modes <= {"1", "L", "LA", "I", "I;16"}
