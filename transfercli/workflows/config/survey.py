"""Survey of a data set for `config init`: file names, counts and image headers, without decoding an image."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

from transfercli.config.paths import ConfigPath, resolve_paths
from transfercli.config.schema import DataConfig, ExperimentConfig, ModelConfig
from transfercli.config.starter import SMALL_BASE, Survey
from transfercli.errors import DataError, TransferError
from transfercli.io.addresses import is_remote, problem_of
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
    from transfercli.data.archive_members import is_archive
    from transfercli.data.sources.storage.shards import archives_in
    from transfercli.data.sources.tables import is_table

    if data.startswith("keras:"):
        return Survey(data, {}, None, ("test",))
    path = Path(data)
    if is_remote(data) or is_archive(data) or archives_in(path):
        return _survey_stored(data, data if is_remote(data) else _shown(path, folder), reporter)
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
    from transfercli.workflows.config.table_columns import table_settings

    settings: dict[str, Any] = {}
    try:
        settings = table_settings(path)
        return _survey_listing(str(path), shown, settings, reporter)
    except TransferError as error:
        reporter.warning(f"{shown}: {error.message}" + (f"; {error.hint}" if error.hint else ""))
        return Survey(shown, {}, settings=settings)


def _survey_stored(data: str, shown: str, reporter: Reporter) -> Survey:
    """Return the survey of an address or of archives. Raises `DataError` as `survey`."""
    from transfercli.data.sources.storage.places import place_of
    from transfercli.data.sources.tables import is_table
    from transfercli.workflows.config.table_columns import table_settings

    if problem := problem_of(data) if is_remote(data) else "":
        raise DataError(f"--data: {problem}", DATA_HINT)
    given = ConfigPath(data, Path())
    settings = table_settings(place_of(given, reporter, whole=True)) if is_table(given.path) else {}
    return _survey_listing(data, shown, settings, reporter)


def _survey_listing(train: str, shown: str, settings: dict[str, Any], reporter: Reporter) -> Survey:
    """Return the survey of what `data.train` lists. Raises `TransferError` if it cannot be listed."""
    from transfercli.data.sources.listing import HELD_OUT, list_images
    from transfercli.data.sources.task import with_task

    data = DataConfig(train=train, **settings)
    config, notes = with_task(
        resolve_paths(ExperimentConfig(name="x", data=data, model=ModelConfig(base=SMALL_BASE)), Path())
    )
    listing = list_images(config.data, reporter, config.task)
    if isinstance(label := config.data.columns.label, list):
        settings["columns"] = {**settings.get("columns", {}), "label": label}
        if any(note.startswith("data.empty_labels") for note in notes):
            settings["empty_labels"] = config.data.empty_labels
    items = [item for item in listing.items if item.split == "train" and not item.problem]
    size, grey = _read_headers([item.file for item in items], reporter)
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
    size, grey = _read_headers([item.file for item in items], reporter)
    return Survey(shown, counts, size, tuple(split for split in labelled_splits(path) if split != "train"), grey)


def _read_headers(files: list[str], reporter: Reporter) -> tuple[tuple[int, int] | None, bool]:
    """Return the median (height, width) of evenly spaced files, and True if all of them are grey."""
    from PIL import Image

    from transfercli.data.archive_members import read_bytes
    from transfercli.data.sources.storage.remote_inputs import fetched_copies

    sizes, modes = [], set()
    for file in fetched_copies(files[:: max(1, len(files) // MAX_HEADERS)], reporter):
        try:
            with warnings.catch_warnings(action="ignore"), Image.open(BytesIO(read_bytes(file))) as image:
                sizes.append((image.height, image.width))
                modes.add(image.mode)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue  # `data check` reports broken images; here they are skipped
    if not sizes:
        return None, False
    heights, widths = zip(*sizes, strict=True)
    return (round(median(heights)), round(median(widths))), modes <= {"1", "L", "LA", "I", "I;16"}
