"""Survey of a data set for `config init`: file names, counts and image headers, without decoding an image.

Addresses and tar archives are not read.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from transfercli.config.schema import DataConfig, ExperimentConfig, ModelConfig
from transfercli.config.starter import SMALL_BASE, Survey
from transfercli.errors import DataError, TransferError, UsageError
from transfercli.io.addresses import is_remote, problem_of
from transfercli.reporting import Reporter

MAX_HEADERS = 50
DATA_HINT = (
    "name a folder with one sub-folder per class, or with train/ and test/ that contain such folders, a .csv or .jsonl"
    " table, tar shards, an address such as s3://BUCKET/FOLDER, or keras:NAME"
)


def survey(data: str, folder: Path, reporter: Reporter) -> Survey:
    """Return the classes and sizes of `data`, and its path relative to `folder`, the folder of the config.

    Raises `DataError` if it does not exist, is not a data set or has no
    classes, `UsageError` for an address with a secret.
    """
    from transfercli.data.sources.storage.places import archives_at
    from transfercli.data.sources.tables import is_table

    if data.startswith("keras:"):
        return Survey(data, {}, None, ("test",))
    if is_remote(data):
        if problem := problem_of(data):
            raise UsageError(problem, "give an address without a user, a password, a signature or a token")
        reporter.info(f"{data} is not read yet; transfercli data check does that")
        return Survey(data, {})
    path = Path(data)
    if archives_at(path):
        reporter.info(f"the archives of {data} are not read yet; transfercli data check does that")
        return Survey(_shown(path, folder), {})
    if not path.exists():
        raise DataError(f"--data {data!r} does not exist", DATA_HINT)
    if path.is_dir():
        try:
            return _survey_folder(path, _shown(path, folder), reporter)
        except DataError:
            tables = [table for table in sorted(path.iterdir()) if is_table(table)]
            if len(tables) != 1:
                raise
        path = tables[0]
        reporter.info(f"{data} has no class folders: its table {path.name} is used")
    if not is_table(path):
        raise DataError(f"--data {data!r} is neither a folder nor a .csv or .jsonl table", DATA_HINT)
    return _survey_table(path, _shown(path, folder), reporter)


def _shown(path: Path, folder: Path) -> str:
    return str(path) if path.is_absolute() else Path(os.path.relpath(path, folder)).as_posix()


def _survey_table(path: Path, shown: str, reporter: Reporter) -> Survey:
    """Return the survey of a table; of one that cannot be read yet, its path alone, with a warning."""
    from transfercli.data.sources.listing import HELD_OUT, list_images
    from transfercli.data.sources.task import with_task
    from transfercli.workflows.config.table_columns import table_settings

    settings: dict[str, Any] = {}
    try:
        settings = table_settings(path)
        data = DataConfig(train=str(path), **settings)
        config, notes = with_task(ExperimentConfig(name="x", data=data, model=ModelConfig(base=SMALL_BASE)))
        listing = list_images(config.data, reporter, config.task)
    except TransferError as error:
        reporter.warning(f"{shown}: {error.message}" + (f"; {error.hint}" if error.hint else ""))
        return Survey(shown, {}, settings=settings)
    if isinstance(label := config.data.columns.label, list):
        settings["columns"] = {**settings.get("columns", {}), "label": label}
        if any(note.startswith("data.empty_labels") for note in notes):
            settings["empty_labels"] = config.data.empty_labels
    items = [item for item in listing.items if item.split == "train" and not item.problem]
    size, grey = _read_headers([item.file for item in items])
    return Survey(
        shown,
        dict(sorted(replace(listing, items=items).counts().items())),
        size,
        tuple(split for split in HELD_OUT if any(item.split == split for item in listing.items)),
        grey,
        settings,
        several=len(items) if listing.several else None,
    )


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
