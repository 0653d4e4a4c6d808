"""Which images a config names, and which sides are still to be carved: names only, nothing is opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from transfercli.config.paths import absolute_path
from transfercli.config.schema import DataConfig
from transfercli.data.sources import keras_datasets
from transfercli.data.sources.folders import Item, check_filled, empty_classes, folder_items, must_exist, side_folders
from transfercli.data.sources.groups import find_groups
from transfercli.data.sources.tables import is_table, table_items
from transfercli.errors import ConfigError, DataError
from transfercli.reporting import Reporter
from transfercli.text import counted, first_of

HELD_OUT = ("validation", "test")


@dataclass(frozen=True, slots=True)
class Listing:
    """Files, or arrays for `keras:` sources, and the fractions of the sides that no source names.

    groups: name of a file or row -> its group, for those that have one.
    empty: class folders without images to train on, and what stands in them instead.
    """

    items: list[Item]
    arrays: list[keras_datasets.Arrays] = field(default_factory=list)
    fractions: dict[str, float] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    empty: dict[str, str] = field(default_factory=dict)

    def labels_of(self, side: str) -> set[str]:
        named = {item.label for item in self.items if item.side == side and item.counted}
        return named.union(*(arrays.labels for arrays in self.arrays if arrays.side == side))

    def __len__(self) -> int:
        return len(self.items) + sum(len(arrays.images) for arrays in self.arrays)


def base_folder(root: str) -> Path:
    """Return the folder that recorded paths are relative to, for `root` as a config gives it."""
    path = absolute_path(root)
    return path.parent if is_table(path) else path


def list_images(config: DataConfig, reporter: Reporter) -> Listing:
    """Find the images of all sides, sorted by name.

    A path of `validation` or `test` comes first, then what the training source names itself (folders inside, a split
    column, the test set of a `keras:` set), then the fraction. `test: null` leaves test images unused. Raises
    ConfigError where the fractions leave nothing to train on.
    """
    source, fractions = _source(config), {}
    items, arrays = source.items, source.arrays
    if config.folds:
        _check_no_validation(items, config)
    for side in HELD_OUT[bool(config.folds) :]:
        value = getattr(config, side)
        inside = any(item.side == side for item in items) or any(part.side == side for part in arrays)
        if isinstance(value, str) or value is None:
            items = [item for item in items if item.side != side]
            arrays = [part for part in arrays if part.side != side]
        if isinstance(value, str):
            items += _held_out(config, side)
        elif value is not None and not inside:
            fractions[side] = float(value)
        elif inside and side in config.model_fields_set and value is not None:
            reporter.debug(f"{side} images come from {config.train}; the fraction {value} is not used")
    if sum(fractions.values()) >= 1:
        given = " and ".join(f"data.{side}: {fraction:g}" for side, fraction in fractions.items())
        raise ConfigError(f"{given} leave no image to train on", "allowed are fractions that add up to less than 1")
    groups = find_groups(config.group, items, arrays, reporter) if config.group else {}
    return Listing(sorted(items, key=lambda item: (item.name, item.side)), arrays, fractions, groups, source.empty)


def sides_inside(config: DataConfig) -> list[str]:
    """The sides that `data.train` brings itself, so that the fraction of the config for them is not used."""
    path = absolute_path(config.train)
    if keras_datasets.is_keras(config.train):
        inside = {"test"}
    elif is_table(path):
        inside = {item.side for item in table_items(path, path.parent)}
    else:
        inside = set(side_folders(path))
    return [side for side in HELD_OUT if side in inside and isinstance(getattr(config, side), float)]


def list_split(path: Path, side: str, base: Path, group: str | None = None) -> list[Item]:
    """The images of one side at `path`: a folder of classes, a folder with `side` inside, or a table."""
    if is_table(path):
        items = table_items(path, base, group)
        named = [item for item in items if item.side == side]
        if not named and any(item.side != "train" for item in items):
            raise DataError(f"{path.name} has no rows whose split is {side}")
        return [replace(item, side=side) for item in named or items]
    if not path.is_dir():
        raise DataError(f"{str(path)!r} is neither a folder nor a .csv or .jsonl file")
    sides = side_folders(path)
    if sides and side not in sides:
        raise DataError(f"{str(path)!r} has no folder for {side}: found {', '.join(sorted(sides))}")
    return folder_items(sides.get(side, path), base, side)


def _source(config: DataConfig) -> Listing:
    """What `data.train` holds, of whatever side."""
    given = config.train
    if keras_datasets.is_keras(given):
        return Listing([], keras_datasets.load(given))
    path, base = absolute_path(given), base_folder(given)
    must_exist(path, "data.train", given)
    if is_table(path):
        return Listing(table_items(path, base, config.group))
    if not path.is_dir():
        raise DataError(
            f"data.train: {given!r} is a file of another kind",
            "give an image folder, a .csv or .jsonl file with the columns path,label, or keras:NAME",
        )
    sides = side_folders(path) or {"train": path}
    items = {side: folder_items(place, base, side) for side, place in sides.items()}
    return Listing([*chain(*items.values())], empty=empty_classes(sides["train"], items["train"]))


def _held_out(config: DataConfig, side: str) -> list[Item]:
    given, base = getattr(config, side), base_folder(config.train)
    if keras_datasets.is_keras(given):
        raise DataError(f"data.{side}: {given!r}: a keras: set can only be data.train", "it brings its own test images")
    path = absolute_path(given)
    must_exist(path, f"data.{side}", given)
    return list_split(path, side, base, config.group)


def _check_no_validation(items: Iterable[Item], config: DataConfig) -> None:
    named = [item.name for item in items if item.side == "validation"]
    if named:
        raise DataError(
            f"data.folds: {config.train} names {counted(len(named), 'validation image')} itself, such as {named[0]!r}, "
            "and a fold is to validate",
            "point data.train at the training images alone, or remove data.folds and data.fold",
        )


def check_classes(listing: Listing) -> None:
    """Raise DataError where a class is empty, there are fewer than two, or held-out images are of other classes."""
    check_filled(listing.empty)
    trained = listing.labels_of("train")
    if len(trained) < 2:
        found = f"one class ({next(iter(trained))!r})" if trained else "no class with images"
        raise DataError(f"the training data has {found}; at least two classes are needed")
    for side in HELD_OUT:
        check_known(listing.labels_of(side), trained, f"{side} images", "the training images")


def check_known(
    found: Iterable[str], known: Iterable[str], where: str, whose: str, hint: str = "rename or remove it"
) -> None:
    """Raise DataError where a class of `found` is not among `known`; `hint` tells what to do then."""
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise DataError(
            f"the {where} have {_named('class', unknown)}, unknown to {whose}: known are {_list(sorted(known))}",
            f"{hint}; classes are matched by name",
        )


def _named(noun: str, names: Sequence[str]) -> str:
    return f"the {noun}{'es' * (len(names) > 1)} {_list(names)}"


def _list(names: Sequence[str], most: int = 10) -> str:
    return first_of(names, most, written=repr)
