"""Image folder as the source of a data set: its splits and classes, with warnings about what is left out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from transfercli.data.sources.class_folders import class_items
from transfercli.data.sources.folders import Item, empty_classes, listed_file, sub_folders, walk
from transfercli.data.sources.labels import normalised_label, shown
from transfercli.data.sources.layout import is_split_name, split_folders
from transfercli.reporting import Reporter
from transfercli.text import counted

# The single sub-folder of images without labels; Keras's generators need one.
_NO_CLASSES = frozenset({"unknown", "unlabelled", "unlabeled", "images", "image", "imgs", "img", "all", "data", "pred"})


def divided_folder(
    path: Path, base: Path, unwanted: Collection[str], reporter: Reporter, *, grouped: bool
) -> tuple[list[Item], dict[str, str]]:
    """Return the files of a folder of classes or of splits, and its class folders without training images.

    A folder of held-out images without classes, as in competitions, is not used, with a warning.

    Args:
        unwanted: splits whose folders are not read.
        grouped: True if the config groups images.
    """
    folders = split_folders(path)
    train = folders.get("train", path)
    items = folder_of_classes(train, base, "train", reporter, grouped=grouped)
    empty = empty_classes(train, items)
    labelled = labelled_splits(path)
    for split, folder in folders.items():
        if split == "train" or split in unwanted:
            continue
        if split in labelled:
            items += folder_of_classes(folder, base, split, reporter, grouped=grouped)
        else:
            none = "data.test: null sets none aside; " if split == "test" else ""
            count, name = counted(_image_count(folder), "image"), folder.relative_to(path).as_posix()
            reporter.warning(
                f"the folder {name!r} is not used: {count} without class folders cannot be {split} images, so a"
                f" fraction of the training images is set aside ({none}predict labels such images)"
            )
    if folders:
        _warn_of_unused(path, [*folders.values()], reporter)
    return items, empty


def labelled_splits(path: Path) -> dict[str, Path]:
    """Return `{split: folder}` of the folders of splits that hold class folders; {} if there are none.

    The only sub-folder of a folder of held-out images is none if it is named as in test/unknown or test/test1.
    """
    folders = split_folders(path)
    return {split: folder for split, folder in folders.items() if split == "train" or _has_classes(folder)}


def folder_of_classes(folder: Path, base: Path, split: str, reporter: Reporter, *, grouped: bool) -> list[Item]:
    """Return the files of a folder with one sub-folder per class; warn of doubtful classes and of mended names.

    grouped: True if the config groups images. Raises `DataError` if the classes cannot be recognised.
    """
    items, warnings = class_items(folder, base, split, grouped=grouped)
    for text in warnings:
        reporter.warning(text)
    names = [name for name in sub_folders(folder) if name != normalised_label(name)]
    if names:
        label = normalised_label(names[0])
        first = repr(names[0]) if names[0].strip() == label else shown(names[0], [label])
        reporter.warning(
            f"{counted(len(names), 'class folder')} with spaces around the name or letters in a decomposed Unicode"
            f" form, such as {first}, which is class {label!r}"
        )
    return items


def _has_classes(folder: Path) -> bool:
    names = sub_folders(folder)
    return len(names) > 1 or any(name.lower() not in _NO_CLASSES and not is_split_name(name) for name in names)


def _warn_of_unused(root: Path, used: Sequence[Path], reporter: Reporter) -> None:
    """Warn of images in folders beside those of the splits."""
    names = {folder.relative_to(root).parts[0] for folder in used}
    for name in sub_folders(root):
        if name not in names and (count := _image_count(root / name)):
            reporter.warning(
                f"the folder {name!r} is not used: {counted(count, 'image')} beside the folders of the splits"
            )


def _image_count(folder: Path) -> int:
    return sum(listed_file(file)[1] for file in walk(folder))
