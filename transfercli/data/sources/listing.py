"""Files of a config by name, and the fractions for splits that the source does not give; no image is decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from transfercli.config.paths import normalised_path
from transfercli.config.schema import DataConfig, ExpectConfig
from transfercli.config.types import Task
from transfercli.data.archive_members import is_archive
from transfercli.data.label_sets import CLASS_NOUNS, LABEL_NOUNS, LabelSet
from transfercli.data.remote.versions import refreshed
from transfercli.data.sources import keras_datasets
from transfercli.data.sources.folder_source import divided_folder, folder_of_classes, labelled_splits
from transfercli.data.sources.folders import Item, check_exists, check_filled
from transfercli.data.sources.groups import find_groups
from transfercli.data.sources.joined_labels import find_joined
from transfercli.data.sources.labels import look_alikes, normalised_label, shown
from transfercli.data.sources.layout import split_folders
from transfercli.data.sources.storage.places import archives_at, place_of, shards_of
from transfercli.data.sources.storage.shards import shard_items, splits_of
from transfercli.data.sources.table_format import TableFormat
from transfercli.data.sources.tables import column_names, is_table, table_items
from transfercli.errors import ConfigError, DataError
from transfercli.reporting import Reporter
from transfercli.shards import Shard
from transfercli.text import counted, first_of

HELD_OUT = ("validation", "test")
_OTHER_FILES = {
    ".tsv": "rename it to .csv: columns separated by tabs are read; or ",
    ".txt": "rename it to .csv if its first line has the names of columns; or ",
    ".json": "write one JSON object per line and name the file .jsonl; or ",
    ".ndjson": "rename it to .jsonl; or ",
    **dict.fromkeys((".gz", ".zip"), "unpack it; or "),
    **dict.fromkeys((".xlsx", ".xls", ".ods", ".feather"), "save it as CSV in UTF-8; or "),
}
_LISTED = 5
_TABLE_HINT = "list the images with their labels in a .csv or .jsonl file"


@dataclass(frozen=True, slots=True)
class Listing:
    """Listed files or arrays of a data set.

    Attributes:
        arrays: images of a `keras:` source.
        fractions: split -> fraction of the training images to set aside, if the source does not give the split.
        groups: name of an image -> its group, for images that have one.
        empty: class folder without training images -> a short text on its contents.
        added: classes without training images here, for which there are related ones.
        several: an image may have several labels.
        quantity: name of the number that each image has, its only class; "" if images have classes or labels.
        columns: labels that have a column of their own in the table.
    """

    items: list[Item]
    arrays: list[keras_datasets.Arrays] = field(default_factory=list)
    fractions: dict[str, float] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    empty: dict[str, str] = field(default_factory=dict)
    added: frozenset[str] = frozenset()
    several: bool = False
    quantity: str = ""
    columns: frozenset[str] = frozenset()

    @property
    def classes(self) -> set[str]:
        """Classes that a model of this data set learns."""
        return self.labels_of("train") | self.added | self.columns

    def labels_of(self, split: str) -> set[str]:
        """Return the classes of the images that the source gives for a split; of several labels, also unknown ones."""
        texts = {item.label for item in self.items if item.split == split and item.is_image}
        if self.quantity:
            return {self.quantity} if texts else set()
        if self.several:
            return {label for text in texts for label in LabelSet.read(text).named}
        return texts.union(*(arrays.labels for arrays in self.arrays if arrays.split == split))

    @property
    def nouns(self) -> tuple[str, str]:
        """Word for one class or label in messages, and for more than one."""
        return LABEL_NOUNS if self.several else CLASS_NOUNS

    def counts(self) -> Counter[str]:
        """Return the number of listed images of each class, or with each label, in all splits; arrays do not count."""
        numbers = Counter(item.label for item in self.items if item.is_image)
        if self.quantity:
            return Counter({self.quantity: numbers.total()})
        if not self.several:
            return numbers
        labels: Counter[str] = Counter()
        for text, number in numbers.items():
            labels.update(dict.fromkeys(LabelSet.read(text).has, number))
        return labels

    def __len__(self) -> int:
        return len(self.items) + sum(len(arrays.images) for arrays in self.arrays)

    def part(self, shard: Shard) -> Listing:
        """Return a shard of the files, and of each split's arrays, with the facts of the whole."""
        rows = slice(shard.number - 1, None, shard.count)
        arrays = [one.at(rows) for one in self.arrays]
        return replace(self, items=shard.of(self.items), arrays=arrays)


def base_folder(root: str) -> Path:
    """Return the folder that recorded paths are relative to; `root` is `data.train` of a config."""
    path = normalised_path(root)
    return path.parent if is_table(path) or is_archive(path) else path


def list_images(config: DataConfig, reporter: Reporter, task: Task = "classify") -> Listing:
    """Return the images of all splits, sorted by name.

    Order of precedence for validation and test images: the path in the config; the splits of the training source
    (folders inside, a split column, the test images of a `keras:` set); the fraction. With `test: null`, test images of
    the source are not used. Raises `ConfigError` if the fractions leave nothing to train on.
    """
    refreshed()
    table = TableFormat.of(config, task)
    source, fractions = _source(config, table, reporter), {}
    items, arrays = source.items, source.arrays
    if config.folds:
        _check_no_validation(items, config)
    for split in HELD_OUT[bool(config.folds) :]:
        value = getattr(config, split)
        inside = any(item.split == split for item in items) or any(part.split == split for part in arrays)
        if isinstance(value, str) or value is None:
            items = [item for item in items if item.split != split]
            arrays = [part for part in arrays if part.split != split]
        if isinstance(value, str):
            items += _held_out(config, split, table, reporter)
        elif value is not None and not inside:
            fractions[split] = float(value)
        elif inside and split in config.model_fields_set and value is not None:
            reporter.debug(f"{split} images come from {config.train}; the fraction {value} is not used")
    if sum(fractions.values()) >= 1:
        given = " and ".join(f"data.{split}: {fraction:g}" for split, fraction in fractions.items())
        raise ConfigError(f"{given} leave no image to train on", "allowed: fractions that add up to less than 1")
    groups = find_groups(table.group, items, arrays, reporter, _columns(config, table)) if table.group else {}
    items = sorted(items, key=lambda item: (item.name, item.split))
    columns = frozenset(map(normalised_label, table.label_columns if isinstance(table.columns.label, list) else ()))
    listing = Listing(
        items,
        arrays,
        fractions,
        groups,
        source.empty,
        several=table.several,
        quantity=table.quantity,
        columns=columns,
    )
    if not table.several:
        _warn_of_look_alikes(listing.counts(), reporter)
    if not columns:
        _warn_of_joined_labels(listing, config, reporter)
    return listing


def _columns(config: DataConfig, table: TableFormat) -> list[str]:
    path = normalised_path(config.train)
    return column_names(path, table) if is_table(path) else []


def splits_inside(config: DataConfig, task: Task = "classify") -> list[str]:
    """Return the splits that `data.train` contains, so that the config's fraction for them is not used."""
    path = normalised_path(config.train)
    if keras_datasets.is_keras(config.train):
        inside = {"test"}
    elif archives := shards_of(config.train, Reporter()):
        inside = {*splits_of(archives)}
    elif is_table(path):
        place_of(config.train, whole=True)
        inside = {item.split for item in table_items(path, path.parent, TableFormat.of(config, task))}
    else:
        inside = set(labelled_splits(place_of(config.train, whole=False)))
    return [split for split in HELD_OUT if split in inside and isinstance(getattr(config, split), float)]


def list_split(
    path: Path, split: str, base: Path, table: TableFormat, reporter: Reporter, *, classes_known: bool = False
) -> list[Item]:
    """Return the images of one split at `path`: a folder of classes, a folder with `split` inside, or a table.

    Args:
        table: format of a table; its group also says that classes may have sub-folders.
        classes_known: True if the caller compares the names of the classes with known ones, so that folders of classes
            may have the same sub-folders.

    Raises `DataError` if there are no images of that split.
    """
    if archives := archives_at(path):
        found = splits_of(archives)
        if split not in found and len(found) > 1:
            raise DataError(f"{str(path)!r} has no archives for {split}: found {', '.join(found)}")
        return shard_items(found.get(split, archives), split, base, table, reporter)
    if is_table(path):
        items = table_items(path, base, table, reporter)
        chosen = [item for item in items if item.split == split]
        if not chosen and any(item.split != "train" for item in items):
            raise DataError(f"{path.name} has no rows whose split is {split}")
        return [replace(item, split=split) for item in chosen or items]
    if not path.is_dir():
        hint = f"{_OTHER_FILES.get(path.suffix.lower(), '')}give one of these"
        raise DataError(f"{str(path)!r} is neither a folder nor a .csv or .jsonl file, nor a .tar archive", hint)
    if table.several or table.number:
        here = "an image may have several labels" if table.several else "it has a number (task: regression)"
        raise DataError(
            f"{str(path)!r} is a folder, which gives each image one class; here {here}",
            _TABLE_HINT,
        )
    folders = split_folders(path)
    if folders and split not in folders:
        other = next(name for name in (*HELD_OUT, "train") if name in folders)
        raise DataError(
            f"{str(path)!r} has no folder for {split}: found {', '.join(sorted(folders))}",
            f"use --split {other}, or give the folder that has the classes" if classes_known else None,
        )
    grouped = classes_known or table.group is not None
    return folder_of_classes(folders.get(split, path), base, split, reporter, grouped=grouped)


def _source(config: DataConfig, table: TableFormat, reporter: Reporter) -> Listing:
    """Return the images of `data.train`, of all splits."""
    given = config.train
    if archives := shards_of(given, reporter):
        base = base_folder(given)
        parts = [shard_items(members, split, base, table, reporter) for split, members in splits_of(archives).items()]
        return Listing(list(chain.from_iterable(parts)))
    task = "multilabel" if table.several else "regression"
    if (table.several or table.number) and not is_table(normalised_path(given)):
        kind = "a data set of Keras" if keras_datasets.is_keras(given) else "no table"
        raise DataError(
            f"task: {task} is for tables, and data.train: {given!r} is {kind}, with one class per image",
            f"{_TABLE_HINT}, or set task: classify",
        )
    if keras_datasets.is_keras(given):
        return Listing([], keras_datasets.load(given))
    path, base = place_of(given, reporter, whole=is_table(normalised_path(given))), base_folder(given)
    check_exists(path, "data.train", given)
    if is_table(path):
        return Listing(table_items(path, base, table, reporter))
    if not path.is_dir():
        raise DataError(
            f"data.train: {given!r} is a file of another kind",
            _OTHER_FILES.get(path.suffix.lower(), "")
            + "give an image folder, a .csv or .jsonl file with the columns path,label, tar archives, or keras:NAME",
        )
    unwanted = [split for split in HELD_OUT if not isinstance(getattr(config, split), float)]
    items, empty = divided_folder(path, base, unwanted, reporter, grouped=table.group is not None)
    return Listing(items, empty=empty)


def _warn_of_look_alikes(labels: Collection[str], reporter: Reporter) -> None:
    for group in look_alikes(labels):
        reporter.warning(
            f"the classes {' and '.join(shown(label, group) for label in group)} differ in case, spaces or look-alike"
            " letters only: if they are one class, give them one name"
        )


def _warn_of_joined_labels(listing: Listing, config: DataConfig, reporter: Reporter) -> None:
    """Warn of names such as `red,blurry` that look like several labels, and are read as one."""
    joined = find_joined(counts := listing.counts())
    if joined is None:
        return
    listed = "" if is_table(normalised_path(config.train)) else f"{_TABLE_HINT}, and "
    reporter.warning(
        f"{first_of(joined.names, 3, written=repr)}: such labels look like several labels of one image, but each is a"
        f" {listing.nouns[0]} of its own ({joined.images} of {counts.total()}); if an image has several,"
        f" {listed}set {joined.setting}"
    )


def _held_out(config: DataConfig, split: str, table: TableFormat, reporter: Reporter) -> list[Item]:
    """Return the images of `data.validation` or `data.test`, given as a path."""
    given, base = getattr(config, split), base_folder(config.train)
    if keras_datasets.is_keras(given):
        raise DataError(
            f"data.{split}: {given!r}: only data.train can be a keras: data set", "it contains its own test images"
        )
    if archives := shards_of(given, reporter):
        return shard_items(splits_of(archives).get(split, archives), split, base, table, reporter)
    path = place_of(given, reporter, whole=is_table(normalised_path(given)))
    check_exists(path, f"data.{split}", given)
    _check_is_other_folder(config, split, path)
    return list_split(path, split, base, table, reporter)


def _check_is_other_folder(config: DataConfig, split: str, path: Path) -> None:
    """Raise `DataError` if a folder of held-out images is the training folder, or a class folder or deeper in it."""
    train = normalised_path(config.train)
    if keras_datasets.is_keras(config.train) or not (train.is_dir() and path.is_dir()):
        return
    folder, training = path.resolve(), (split_folders(train).get("train") or train).resolve()
    given = f"data.{split}: {getattr(config, split)!r}"
    if folder == training:
        raise DataError(
            f"{given} is the folder of the training images: every training image would be a {split} image",
            f"give another folder, or a fraction such as data.{split}: 0.15",
        )
    if training in folder.parents:
        label = folder.relative_to(training).parts[0]
        raise DataError(
            f"{given} lies in the folder of the training images, where its images count as class {label!r}",
            f"move it out of {config.train!r}, beside the training images",
        )


def _check_no_validation(items: Iterable[Item], config: DataConfig) -> None:
    names = [item.name for item in items if item.split == "validation"]
    if names:
        raise DataError(
            f"data.folds: {config.train!r} contains {counted(len(names), 'validation image')}, such as {names[0]!r}, "
            "but a fold is used for validation",
            "set data.train to the training images alone, or leave out the folds",
        )


def check_classes(listing: Listing) -> None:
    """Raise `DataError` if a class is empty, there are fewer than two, or held-out images have other classes."""
    check_filled(listing.empty)
    trained = listing.classes
    noun, nouns = listing.nouns
    if len(trained) < 2 and not (trained and listing.quantity):
        named = f"one {noun} ({next(iter(trained))!r})" if trained else f"no {noun} with images"
        hint = "one label is two classes, with and without it: give these as classes" if listing.several else None
        raise DataError(f"the training data has {named}; at least two {nouns} are needed", hint)
    for split in HELD_OUT:
        check_known(listing.labels_of(split), trained, f"{split} images", "the training images", nouns=listing.nouns)


def check_label_names(listing: Listing, expected: ExpectConfig | None) -> None:
    """Raise `DataError` if a label has a line break, or two labels of images with several look alike (`dog` and `Dog`).

    Files of artefacts have a label a line. Most of the names that look alike are slips, and each takes positive images
    from the other. Labels that `data.expect.classes` lists are meant. Classes that look alike are a warning of
    `list_images`.
    """
    if broken := sorted(label for label in listing.classes if len(f"{label}.".splitlines()) > 1):
        raise DataError(
            f"{counted(len(broken), 'label')} with a line break: {first_of(broken, _LISTED, written=repr)}",
            "give each label a name in one line",
        )
    meant = {*map(normalised_label, expected.classes)} if expected and isinstance(expected.classes, list) else set()
    counts = listing.counts()
    groups = [group for group in look_alikes(listing.classes | {*counts}) if not meant.issuperset(group)]
    if not listing.several or not groups:
        return
    texts = [
        " and ".join(f"{shown(label, group)} ({counted(counts[label], 'image')})" for label in group)
        for group in groups
    ]
    raise DataError(
        f"{counted(len(groups), 'label')} written in several ways, which differ in case, spaces or look-alike letters"
        f" only: {first_of(texts, _LISTED)}",
        "give each label one name; if both are meant, list them in data.expect.classes",
    )


def check_known(
    labels: Iterable[str],
    known: Iterable[str],
    images: str,
    reference: str,
    hint: str = "rename or remove it",
    nouns: tuple[str, str] = CLASS_NOUNS,
) -> None:
    """Raise `DataError` if a class of `labels` is not in `known`.

    images, reference: what has the labels and the known classes, for the message; `hint`: the fix; `nouns`: class and
    classes, or label and labels.
    """
    unknown, known = sorted(set(labels) - set(known)), sorted(known)
    if unknown:
        raise DataError(
            f"the {images} have the {nouns[len(unknown) > 1]} {_list(unknown, known)}, unknown to {reference}:"
            f" known are {_list(known, unknown)}",
            f"{hint}; {nouns[1]} are matched by name",
        )


def _list(names: Sequence[str], others: Sequence[str], most: int = 10) -> str:
    return first_of(names, most, written=lambda name: shown(name, others))
