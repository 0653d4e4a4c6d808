"""Auxiliary images of a config by name: unlabelled ones of the target, and related labelled ones; none is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from transfercli.config.paths import cache_of, normalised_path
from transfercli.config.schema import DataConfig
from transfercli.config.types import CLASSIFY, Task
from transfercli.data.sources import keras_datasets
from transfercli.data.sources.folder_source import folder_of_classes
from transfercli.data.sources.folders import IMAGE_EXTENSIONS, Item, check_exists, folder_file, walk
from transfercli.data.sources.labels import find_label, normalised_label, shown
from transfercli.data.sources.layout import split_folders
from transfercli.data.sources.listing import HELD_OUT, Listing, base_folder, list_images
from transfercli.data.sources.storage.places import addresses_in_errors, place_of, shards_of
from transfercli.data.sources.storage.shards import shard_items, splits_of
from transfercli.data.sources.table_format import TableFormat
from transfercli.data.sources.tables import is_table, table_items
from transfercli.errors import ConfigError, DataError
from transfercli.reporting import Reporter
from transfercli.text import counted, first_of, nearest

UNLABELLED, RELATED = "unlabelled", "related"  # keys of the section `data`, and splits of the images
_LISTED = 5


@dataclass(frozen=True, slots=True)
class AuxiliaryListing:
    """Listed auxiliary images.

    Attributes:
        unlabelled: files without labels; empty if the config names none.
        related: labelled files of each entry of `data.related`, in its order.
        added: classes of related images that have no training image.
    """

    unlabelled: Sequence[Item] = ()
    related: Sequence[Sequence[Item]] = ()
    added: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.unlabelled) + sum(map(len, self.related))

    @property
    def related_labels(self) -> set[str]:
        """Classes of the related images."""
        return {item.label for items in self.related for item in items if item.is_image}


def list_all(config: DataConfig, reporter: Reporter, task: Task) -> tuple[Listing, AuxiliaryListing]:
    """Return the images of a config and its auxiliary ones, which may add classes to those of the training images.

    Such a class is one that the data names, but has no training image of: its folder is empty, validation or test
    images have it, or `data.expect.classes` lists it. Raises as `list_images` and `list_auxiliary` do.
    """
    _check_classes(config, task)
    with addresses_in_errors(cache_of(config.train)):
        listing, auxiliary = list_images(config, reporter, task), list_auxiliary(config, reporter)
    expected = config.expect.classes if config.expect and isinstance(config.expect.classes, list) else []
    named = {*map(normalised_label, [*listing.empty, *expected])}.union(*map(listing.labels_of, HELD_OUT))
    added = frozenset((named & auxiliary.related_labels) - listing.labels_of("train"))
    empty = {name: contents for name, contents in listing.empty.items() if normalised_label(name) not in added}
    return replace(listing, empty=empty, added=added), replace(auxiliary, added=added)


def _check_classes(config: DataConfig, task: Task) -> None:
    """Raise `ConfigError` if a config of another task than `classify` names auxiliary images."""
    for key, value in ((UNLABELLED, config.unlabelled), (RELATED, config.related)):
        if task != CLASSIFY and value:
            raise ConfigError(
                f"data.{key}: is used with task: {CLASSIFY} alone, and this task is {task}", f"remove data.{key}"
            )


def without_auxiliary(config: DataConfig) -> DataConfig:
    """Return the config without auxiliary images."""
    return config.model_copy(update={UNLABELLED: None, RELATED: []})


def related_key(number: int) -> str:
    """Return the key of an entry of `data.related`, counted from 0, for messages."""
    return f"data.{RELATED}[{number}]"


def list_auxiliary(config: DataConfig, reporter: Reporter) -> AuxiliaryListing:
    """Return the auxiliary images of a config, sorted by name.

    Raises `DataError` if a folder or table is missing, or has no images.
    """
    unlabelled = _unlabelled(config, config.unlabelled, reporter) if config.unlabelled else []
    related = [_related(config, number, text, reporter) for number, text in enumerate(config.related)]
    return AuxiliaryListing(unlabelled, related)


def _unlabelled(config: DataConfig, given: str, reporter: Reporter) -> list[Item]:
    """Return the files below a folder, at any depth, or of a table or archives; names of folders are no labels."""
    table = replace(TableFormat.of(config), labelled=False, group=None)
    if archives := shards_of(given, reporter):
        return shard_items(archives, UNLABELLED, _base(config, given), table, reporter)
    path, base = _place(config, f"data.{UNLABELLED}", given)
    if is_table(path):
        items = table_items(path, base, table)
        return [replace(item, split=UNLABELLED) for item in items]
    items = [folder_file(file, base, "", UNLABELLED) for file in sorted(walk(path))]
    if not any(item.is_image for item in items):
        known = ", ".join(sorted(IMAGE_EXTENSIONS))
        raise DataError(f"data.{UNLABELLED}: {given!r} has no images", f"add images, or remove the key; types: {known}")
    return items


def _related(config: DataConfig, number: int, given: str, reporter: Reporter) -> list[Item]:
    """Return the training images of a folder of classes or of splits, or of a table."""
    key = related_key(number)
    if archives := shards_of(given, reporter):
        training = splits_of(archives).get("train", archives)
        items = shard_items(training, "train", _base(config, given), TableFormat.of(config), reporter)
        return [replace(item, split=RELATED) for item in items if item.split == "train"]
    path, base = _place(config, key, given)
    if is_table(path):
        listed = table_items(path, base, TableFormat.of(config))
        items = [item for item in listed if item.split == "train"]
        if len(items) < len(listed):
            held_out = counted(len(listed) - len(items), "image")
            reporter.warning(f"{key}: {held_out} of the table's splits validation and test are not used")
    else:
        folders = split_folders(path)
        items = folder_of_classes(folders.get("train", path), base, RELATED, reporter, grouped=True)
        if others := [folder.name for split, folder in folders.items() if split != "train"]:
            used = f", only {folders['train'].name!r}" if "train" in folders else ""
            reporter.warning(f"{key}: the folders {first_of(others, _LISTED, written=repr)} are not used{used}")
    if not any(item.is_image for item in items):
        raise DataError(f"{key}: {given!r} has no images to train on", "add images, or remove the entry")
    return [replace(item, split=RELATED) for item in items]


def _place(config: DataConfig, key: str, given: str) -> tuple[Path, Path]:
    """Return the path, and the folder that its images' names are relative to. Raises `DataError` if it is unusable."""
    if keras_datasets.is_keras(given):
        raise DataError(f"{key}: {given!r}: only data.train can be a keras: data set", "give a folder or a table")
    path = place_of(given, whole=is_table(normalised_path(given)))
    check_exists(path, key, given)
    if not path.is_dir() and not is_table(path):
        raise DataError(f"{key}: {given!r} is neither a folder nor a .csv or .jsonl file")
    return path, _base(config, given)


def _base(config: DataConfig, given: str) -> Path:
    """Return the folder that the names of auxiliary images are relative to."""
    return base_folder(given if keras_datasets.is_keras(config.train) else config.train)


def with_known_classes(
    listing: AuxiliaryListing, known: Sequence[str], reporter: Reporter
) -> tuple[AuxiliaryListing, dict[str, int]]:
    """Return the listing without related images of unknown classes, and their number by key; warn of them.

    Raises `DataError` if an entry of `data.related` has no class of `known`.
    """
    kept, counts = [], {}
    for number, items in enumerate(listing.related):
        key, left = related_key(number), [item for item in items if not item.is_image or item.label in known]
        unknown = [item.label for item in items if item.is_image and item.label not in known]
        kept.append(left)
        if not unknown:
            continue
        message = f"{key}: {counted(len(unknown), 'image')} of {_named(sorted(set(unknown)), known)}, which the"
        message += " training images do not have"
        if not any(item.is_image for item in left):
            classes = first_of(list(known), _LISTED, written=repr)
            raise DataError(f"{message}, and no others", f"classes are matched by name; known are {classes}")
        reporter.warning(f"{message}: left out")
        counts[key] = len(unknown)
    return replace(listing, related=kept), counts


def _named(names: Sequence[str], known: Sequence[str]) -> str:
    """Return `the class 'hose' (did you mean 'horse'?)` for unknown classes."""

    def written(name: str) -> str:
        near = find_label(name, known) or nearest(name, known)
        return shown(name, known) + (f" (did you mean {near!r}?)" if near else "")

    return f"the class{'es' * (len(names) > 1)} {first_of(names, _LISTED, written=written)}"
