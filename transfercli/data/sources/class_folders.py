"""Sub-folders below the classes of an image folder: refused if they can be read in two ways, else a warning.

The images below a class count for the class. That is wrong, without an error, if the folders above are splits or parts
of the data set, if a class is divided into splits itself, or if its sub-folders hold masks.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from transfercli.data.sources.folders import Item, folder_items
from transfercli.data.sources.layout import is_held_out_name, is_train_name
from transfercli.errors import DataError
from transfercli.text import counted, first_of

# Folders that hold something else than the pictures of a class, or the same in small: names, and words of names.
ANNOTATIONS = frozenset({"label", "labels", "segmentation", "segmentations", "ground truth", "gt", "bbox", "bboxes"})
ANNOTATION_WORDS = frozenset({"mask", "masks", "annotation", "annotations", "groundtruth", "heatmaps"})
THUMBNAIL_WORDS = frozenset({"thumb", "thumbs", "thumbnail", "thumbnails"})
_WORD = re.compile(r"[^\W_]+")
_DATE = re.compile(r"(19|20)\d\d([-_. ]?\d\d){0,2}")
_LISTED = 4
_GROUP_HINT = "set data.group: '^([^/]+/[^/]+)/', which keeps the images of a sub-folder in one split"


@dataclass
class ClassFolder:
    """Contents of a class folder.

    Attributes:
        direct: number of images in the folder itself.
        below: sub-folder -> number of images at any depth.
        names: file name without extension -> the sub-folders that have such a file; "" for the folder itself.
    """

    direct: int = 0
    below: Counter[str] = field(default_factory=Counter)
    names: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


def class_items(folder: Path, base: Path, split: str, *, grouped: bool = False) -> tuple[list[Item], list[str]]:
    """Return the files of a folder with one sub-folder per class, and warnings about classes that may be none.

    grouped: True if the config groups images, so that it is known that the upper folders are the classes.

    Raises `DataError` if there is no sub-folder, or if the classes have sub-folders that can be read in two ways.
    """
    items = folder_items(folder, base, split)
    classes = _class_folders(folder, items)
    if split == "train":
        _check_not_wrapper(folder, classes)
    for name, found in classes.items():
        _check_not_divided(folder, name, found)
        _check_no_annotations(folder, name, found)
    if not grouped:
        _check_not_parts(folder, classes)
    texts = [_nested_text({name: found for name, found in classes.items() if found.below}), _annotations_text(classes)]
    return items, [text for text in texts if text]


def _annotations_text(classes: Mapping[str, ClassFolder]) -> str:
    """Return a warning about classes with the name of masks, thumbnails or the like, or "" if there are none."""
    names = [name for name in classes if _is_annotation(name)]
    if not names:
        return ""
    counts = " and ".join(f"{name!r} ({counted(_images(classes[name]), 'image')})" for name in names)
    return f"{counts} count as a class: if these are not pictures of their own, rename the folder to .{names[0]}"


def _images(found: ClassFolder) -> int:
    return found.direct + found.below.total()


def _nested_text(classes: Mapping[str, ClassFolder]) -> str:
    """Return a warning about the images in sub-folders of these class folders, or "" if there are none."""
    if not classes:
        return ""
    count = sum(found.below.total() for found in classes.values())
    shown = first_of([f"{name!r} ({_listed(found)})" for name, found in classes.items()], _LISTED)
    text = (
        f"{counted(count, 'image')} in sub-folders of {counted(len(classes), 'class folder')} count for the class"
        f" above: {shown}"
    )
    repeated = sum(len(folders) > 1 for found in classes.values() for folders in found.names.values())
    if repeated:
        text += (
            f"; {counted(repeated, 'file name')} in more than one folder of a class: if these show the same thing,"
            " data.group keeps them in one split"
        )
    return text


def _class_folders(folder: Path, items: Sequence[Item]) -> dict[str, ClassFolder]:
    """Return the contents of each class folder, by its name."""
    classes: defaultdict[str, ClassFolder] = defaultdict(ClassFolder)
    start = len(os.path.join(folder, ""))  # noqa: PTH118 - names are text here: a Path for each of many files is slow
    for item in items:
        if not item.is_image:
            continue
        name, *below, file = item.file[start:].split(os.sep)  # noqa: PTH206
        place = below[0] if below else ""
        classes[name].names[file.rpartition(".")[0] or file].add(place)
        if place:
            classes[name].below[place] += 1
        else:
            classes[name].direct += 1
    return dict(classes)


def _listed(found: ClassFolder) -> str:
    return first_of(sorted(found.below), _LISTED)


def _check_not_wrapper(folder: Path, classes: Mapping[str, ClassFolder]) -> None:
    """Raise `DataError` if the only folder holds no images itself, but folders of images, as in an archive."""
    if len(classes) != 1:
        return
    [(name, found)] = classes.items()
    if not found.direct and len(found.below) > 1:
        raise DataError(
            f"{str(folder)!r} has one class folder, {name!r}, which holds the folders {_listed(found)}",
            f"set data.train to {str(folder / name)!r}",
        )


def _check_not_divided(folder: Path, name: str, found: ClassFolder) -> None:
    """Raise `DataError` if a class is divided into splits, or has a folder of held-out images."""
    held_out = [below for below in found.below if is_held_out_name(below)]
    if held_out and (found.direct or any(map(is_train_name, found.below))):
        raise DataError(
            f"the class folder {str(folder / name)!r} has the sub-folders {_listed(found)}: the images in"
            f" {held_out[0]!r} would be split at random with the others of class {name!r}",
            f"put the splits above the classes, as in train/{name} and test/{name}, or list the images in a .csv with"
            " the columns path,label,split",
        )


def _check_no_annotations(folder: Path, name: str, found: ClassFolder) -> None:
    """Raise `DataError` if a class has a sub-folder of masks, thumbnails or the like beside its pictures."""
    annotations = [below for below in found.below if _is_annotation(below)]
    if annotations and (found.direct or len(found.below) > len(annotations)):
        raise DataError(
            f"the class folder {str(folder / name)!r} has the sub-folders {_listed(found)}: the images in"
            f" {annotations[0]!r} would count as pictures of class {name!r}",
            f"move {annotations[0]!r} out of the class folders, rename it to .{annotations[0]}, or list the pictures in"
            " a .csv with the columns path,label",
        )


def _is_annotation(name: str) -> bool:
    words = _WORD.findall(name.lower())
    return " ".join(words) in ANNOTATIONS or not (ANNOTATION_WORDS | THUMBNAIL_WORDS).isdisjoint(words)


def _check_not_parts(folder: Path, classes: Mapping[str, ClassFolder]) -> None:
    """Raise `DataError` if the folders hold no images themselves and have the same sub-folders.

    They look like splits or parts of the data set, and their sub-folders like the classes.
    """
    if len(classes) < 2 or any(found.direct for found in classes.values()):
        return
    sets = [{below for below in found.below if not _DATE.fullmatch(below)} for found in classes.values()]
    common, every = set.intersection(*sets), set.union(*sets)
    if len(common) >= 2 and 2 * len(common) >= len(every):
        raise DataError(
            f"the folders {first_of(list(classes), _LISTED, written=repr)} in {str(folder)!r} hold no images themselves"
            f" and have the same sub-folders ({first_of(sorted(common), _LISTED)}): either of the two could be the"
            " classes",
            "if the sub-folders are the classes, rename the folders to train, validation and test, or set data.train"
            f" and data.test to them; if the folders are the classes, {_GROUP_HINT}",
        )
