"""Survey of a data set for `config init`: file names, counts and image headers, without decoding an image."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from pathlib import Path
from statistics import median

from transfercli.config.starter import Survey
from transfercli.errors import DataError
from transfercli.reporting import Reporter

MAX_HEADERS = 50
DATA_HINT = (
    "name a folder with one sub-folder per class, or with train/ and test/ that contain such folders, a .csv or .jsonl"
    " table, or keras:NAME"
)


def survey(data: str, folder: Path, reporter: Reporter) -> Survey:
    """Return the classes and sizes of `data`, and its path relative to `folder`, the folder of the config.

    Raises `DataError` if it does not exist, is not a data set or has no classes.
    """
    from transfercli.data.sources.tables import is_table

    if data.startswith("keras:"):
        return Survey(data, {}, None, ("test",))
    path = Path(data)
    if not path.exists():
        raise DataError(f"--data {data!r} does not exist", DATA_HINT)
    shown = data if path.is_absolute() else Path(os.path.relpath(path, folder)).as_posix()
    if path.is_dir():
        return _survey_folder(path, shown, reporter)
    if not is_table(path):
        raise DataError(f"--data {data!r} is neither a folder nor a .csv or .jsonl table", DATA_HINT)
    return Survey(shown, {})


def _survey_folder(path: Path, shown: str, reporter: Reporter) -> Survey:
    from transfercli.data.sources.folder_source import folder_of_classes, labelled_splits
    from transfercli.data.sources.folders import check_filled, empty_classes
    from transfercli.data.sources.layout import split_folders

    train = split_folders(path).get("train", path)
    files = folder_of_classes(train, path, "train", reporter, grouped=False)
    check_filled(empty_classes(train, files))
    items = [item for item in files if not item.problem]
    if not items:
        raise DataError(f"--data {shown!r} holds no images in its class folders", DATA_HINT)
    if len({item.label for item in items}) < 2:
        raise DataError(
            f"--data {shown!r} holds one class, {items[0].label!r}",
            "a classifier needs at least two class folders",
        )
    counts = dict(sorted(Counter(item.label for item in items).items()))
    size, grey = _read_headers([item.file for item in items])
    return Survey(shown, counts, size, tuple(split for split in labelled_splits(path) if split != "train"), grey)


def _read_headers(files: list[str]) -> tuple[tuple[int, int] | None, bool]:
    """Return the median (height, width) of evenly spaced files, and True if all of them are grey."""
    from PIL import Image

    sizes, modes = [], set()
    for file in files[:: max(1, len(files) // MAX_HEADERS)]:
        try:
            with warnings.catch_warnings(action="ignore"), Image.open(file) as image:
                sizes.append((image.height, image.width))
                modes.add(image.mode)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue  # `data check` reports broken images; here they are skipped
    if not sizes:
        return None, False
    heights, widths = zip(*sizes, strict=True)
    return (round(median(heights)), round(median(widths))), modes <= {"1", "L", "LA", "I", "I;16"}
