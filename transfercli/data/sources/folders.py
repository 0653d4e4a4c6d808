"""Image folders: one sub-folder per class, either directly or inside train/, validation/ and test/.

Files are listed by name only; no image is opened. Lists are sorted by name, so that the order does not depend on the
file system.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from transfercli.data.file_formats import EXTENSIONS
from transfercli.errors import DataError
from transfercli.text import counted

IMAGE_EXTENSIONS = frozenset[str]().union(*EXTENSIONS.values())
# Image formats that are not read; such files count as unusable images, other files such as notes.txt do not.
OTHER_IMAGES = frozenset({".jp2", ".jxl", ".svg", ".psd", ".ppm", ".pgm", ".ico", ".dng", ".cr2", ".nef", ".arw"})
JUNK = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
SPLIT_FOLDERS = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
}


@dataclass(frozen=True, slots=True)
class Item:
    """Listed file.

    Attributes:
        file: absolute path.
        name: posix path relative to the data root.
        split: the split that the source gives; `train` images may be assigned to another one later.
        problem: why the file is not opened, or "".
        group: value of the table's `data.group` column, or "".
    """

    file: str
    name: str
    label: str
    split: str = "train"
    problem: str = ""
    group: str = ""

    @property
    def is_image(self) -> bool:
        """True if the file counts as an image; False for others, such as text files."""
        return not self.problem or Path(self.file).suffix.lower() in OTHER_IMAGES


def relative(file: str, base: Path) -> str:
    """Return `file` as a posix path relative to `base`; links are not resolved."""
    return Path(os.path.relpath(file, base)).as_posix()


def absolute(name: str, base: Path) -> str:
    """Return the absolute path of a name relative to `base`; the inverse of `relative`."""
    return os.path.normpath(base / name)


def is_hidden(name: str) -> bool:
    """Return True for hidden files and for system files such as Thumbs.db."""
    return name.startswith(".") or name.lower() in JUNK


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return True for a folder, False for a file and for a link that points to itself."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def sub_folders(folder: Path) -> list[str]:
    """Return the names of the visible sub-folders, sorted. Raises `DataError` if they cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not is_hidden(entry.name) and _is_folder(entry))
    except OSError as error:
        raise _unlisted(folder, error) from error


def _unlisted(folder: Path, error: OSError) -> DataError:
    return DataError(f"the folder {str(folder)!r} cannot be listed: {error.strerror}", "check its permissions")


def split_folders(folder: Path) -> dict[str, Path]:
    """Return `{split: folder}` if the folder is divided into train/validation/test, else {}.

    A class may be named `train` (beside `plane`): such a folder is a split only if it has sub-folders, and if it is the
    only folder or there is a second split.
    """
    splits: dict[str, Path] = {}
    names = sub_folders(folder)
    for name in names:
        split = SPLIT_FOLDERS.get(name.lower())
        if split is None:
            continue
        if split in splits:
            raise DataError(
                f"{str(folder)!r} has two folders for {split}: {splits[split].name!r} and {name!r}", "keep one of them"
            )
        splits[split] = folder / name
    if "train" not in splits or not sub_folders(splits["train"]) or (len(splits) == 1 and len(names) > 1):
        return {}
    return splits


CONFIG_PATH_HINT = "relative paths are relative to the config file's folder"
SHELL_PATH_HINT = "relative paths on the command line are relative to the current folder"


def check_exists(path: Path, key: str, given: str, hint: str = CONFIG_PATH_HINT) -> None:
    """Raise `DataError` if a path does not exist; `key` and `given` are the config key and its value."""
    if not os.path.exists(path):  # noqa: PTH110 - False, without an error, for an impossible file name
        raise DataError(f"{key}: {given!r} does not exist (looked for {str(path)!r})", hint)


def folder_items(folder: Path, base: Path, split: str) -> list[Item]:
    """Return the files of a folder with one sub-folder per class, classes and files sorted by name.

    Raises `DataError` if there is no sub-folder.
    """
    labels = sub_folders(folder)
    if not labels:
        raise DataError(
            f"{str(folder)!r} has no class sub-folders; found {_contents(folder)}",
            "expected one sub-folder per class with its images inside, such as cat/001.jpg and dog/001.jpg",
        )
    items = []
    for label in labels:
        _check_label(label, folder)
        items += [_item(file, base, label, split) for file in sorted(walk(folder / label))]
    return items


def empty_classes(folder: Path, items: Iterable[Item]) -> dict[str, str]:
    """Return the class folders without an image in `items`, each with a short text on its contents."""
    filled = {item.label for item in items if item.is_image}
    return {label: _contents(folder / label) for label in sub_folders(folder) if label not in filled}


def check_filled(empty: Mapping[str, str]) -> None:
    """Raise `DataError` for the first empty class, if there is one."""
    for label, contents in empty.items():
        raise DataError(
            f"class {label!r} has no images: its folder holds {contents}",
            f"add images, or remove the folder; file types read: {', '.join(sorted(IMAGE_EXTENSIONS))}",
        )


def _check_label(label: str, folder: Path) -> None:
    """Raise `DataError` if a class name is not valid Unicode."""
    try:
        label.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"the class folder {os.fsencode(label)!r} in {str(folder)!r} is not valid Unicode",
            "rename it: class names are written into labels.json",
        ) from error


def _item(file: str, base: Path, label: str, split: str) -> Item:
    extension = Path(file).suffix.lower()
    problem = "" if extension in IMAGE_EXTENSIONS else f"not read: extension {extension!r}"
    return Item(file, relative(file, base), label, split, problem)


def walk(folder: Path) -> Iterator[str]:
    """Yield every visible file below `folder`, folder by folder, sorted by name.

    Each real folder is visited once; links to a folder above themselves are not followed. Raises `DataError` if a
    folder cannot be listed.
    """
    visited: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            info = current.stat()
            if (info.st_dev, info.st_ino) in visited or (current.is_symlink() and _encloses(current)):
                continue
            visited.add((info.st_dev, info.st_ino))
            with os.scandir(current) as entries:
                visible = sorted(
                    (entry for entry in entries if not is_hidden(entry.name)), key=lambda entry: entry.name
                )
        except OSError as error:
            raise _unlisted(current, error) from error
        yield from (entry.path for entry in visible if not _is_folder(entry))
        waiting += [Path(entry.path) for entry in reversed(visible) if _is_folder(entry)]


def _encloses(link: Path) -> bool:
    """Return True if a link points to a folder above itself, which would give every image the link's class."""
    return link.parent.resolve().is_relative_to(link.resolve())


def _contents(folder: Path) -> str:
    """Return a short text on the files directly in a folder, such as `3 files (2 .jpg, 1 .txt)`."""
    files = [entry.name for entry in os.scandir(folder) if not is_hidden(entry.name)]
    if not files:
        return "nothing"
    kinds = Counter(Path(name).suffix.lower() or "no extension" for name in files)
    listed = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items(), key=lambda kv: (-kv[1], kv[0]))[:4])
    return f"{counted(len(files), 'file')} ({listed})"
