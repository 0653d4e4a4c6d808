"""Folders of the splits inside an image folder, recognised by their names.

The spellings are those of common data sets: `train`, `Training`, `training_set`, `seg_train`, each beside its
counterpart. `eval` is the test split, as in Hugging Face's `datasets`, or the validation split if there is a test
folder.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from transfercli.data.sources.folders import is_hidden, sub_folders
from transfercli.errors import DataError
from transfercli.text import first_of

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "validate": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
_EVALUATION = "evaluation"
_FOLDER_NAMES = SPLIT_NAMES | {"eval": _EVALUATION, "evaluation": _EVALUATION}
# Words that stand beside the name of a split and mean nothing: training_set, TestImages.
_FILLERS = frozenset(
    {"set", "data", "dataset", "images", "image", "imgs", "img", "pictures", "photos", "split", "samples"}
)
_LISTED = 4
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+|[^\W\d_]+")


def split_folders(folder: Path) -> dict[str, Path]:
    """Return `{split: folder}` if the folder is divided into train, validation and test, else {}.

    A class may be named `train` (beside `plane`): such a folder is a split only if it has sub-folders, and if it is the
    only folder or there is a second split.

    Raises `DataError` for two folders of one split, and for a single training folder beside other folders if it holds
    no images itself, so that either level could be the classes.
    """
    names = sub_folders(folder)
    found = _matching(names)
    splits: dict[str, Path] = {}
    for split, name in found:
        if split in splits:
            raise DataError(
                f"{str(folder)!r} has two folders for {split}: {splits[split].name!r} and {name!r}", "keep one of them"
            )
        splits[split] = folder / name
    if "train" not in splits or not sub_folders(splits["train"]):
        return {}
    if len(splits) == 1 and len(names) > 1:
        _check_is_class(splits["train"], names)
        return {}
    return {split: _innermost(place) for split, place in splits.items()}


def _check_is_class(folder: Path, names: Sequence[str]) -> None:
    """Raise `DataError` if a folder named `train` beside others holds two folders and no file, as a split would."""
    below = sub_folders(folder)
    if len(below) > 1 and not any(path.is_file() for path in folder.iterdir() if not is_hidden(path.name)):
        others = [name for name in names if name != folder.name]
        raise DataError(
            f"{str(folder)!r} has the sub-folders {first_of(below, _LISTED)} and no images: it could be the training"
            f" images, or a class beside {first_of(others, _LISTED, written=repr)}",
            f"set data.train to {str(folder)!r} if its sub-folders are the classes; if it is a class, put its images"
            " into the folder itself",
        )


def is_split_name(name: str) -> bool:
    """Return True for a name with the word for one split, such as `test1`."""
    return _parsed(name)[0] != ""


def is_held_out_name(name: str) -> bool:
    """Return True for the name of a folder of validation or test images."""
    word, rest = _parsed(name)
    return word not in ("", "train") and not rest


def split_of_name(name: str) -> str:
    """Return the split that a name has the word for, `eval` being validation; "" if it has none, or other words."""
    word, rest = _parsed(name)
    return "" if rest else "validation" if word == _EVALUATION else word


def is_train_name(name: str) -> bool:
    """Return True for the name of a folder of training images."""
    return _parsed(name) == ("train", ())


def _matching(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return (split, name) of the folders whose names differ in the word for the split only."""
    families: defaultdict[tuple[str, ...], list[tuple[str, str]]] = defaultdict(list)
    for name in names:
        word, rest = _parsed(name)
        if word:
            families[rest].append((word, name))
    complete = [rest for rest, found in families.items() if any(word == "train" for word, _ in found)]
    if not complete or (() not in complete and len(complete) > 1):
        return []
    found = families[() if () in complete else complete[0]]
    evaluation = "validation" if any(word == "test" for word, _ in found) else "test"
    return [(evaluation if word == _EVALUATION else word, name) for word, name in found]


def _parsed(name: str) -> tuple[str, tuple[str, ...]]:
    """Return the split that a folder's name has a word for, and its other words; ("", ()) if there is not one."""
    words = [_without_filler(word.lower()) for word in _WORD.findall(name)]
    splits = [word for word in words if word in _FOLDER_NAMES]
    if len(splits) != 1:
        return "", ()
    return _FOLDER_NAMES[splits[0]], tuple(word for word in words if word not in _FILLERS and word != splits[0])


def _without_filler(word: str) -> str:
    """Return `train` for `trainset`."""
    for filler in _FILLERS:
        if word.removesuffix(filler) in _FOLDER_NAMES:
            return word.removesuffix(filler)
    return word


def _innermost(folder: Path) -> Path:
    """Return the folder of classes in a folder of a split, which may hold itself again: seg_train/seg_train."""
    while [name.lower() for name in sub_folders(folder)] == [folder.name.lower()]:
        folder = folder / sub_folders(folder)[0]
    return folder
