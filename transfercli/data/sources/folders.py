"""Folders with one sub-folder per class: their files, without those that belong to the system.

Files are listed by name. Of files without the extension of an image the first bytes are read, because downloads have
names such as `0123` or `0123.jpg?w=640`. Lists are sorted by name, so that the order does not depend on the file
system.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from transfercli.config.paths import is_address
from transfercli.data.file_formats import EXTENSIONS, first_bytes, format_of, other_image
from transfercli.data.sources.labels import normalised_label
from transfercli.errors import DataError
from transfercli.text import counted

IMAGE_EXTENSIONS = frozenset[str]().union(*EXTENSIONS.values())
# Image formats that are not read; such files count as unusable images, other files such as notes.txt do not.
OTHER_IMAGES = frozenset(
    {".jp2", ".jxl", ".svg", ".psd", ".ppm", ".pgm", ".ico", ".dng", ".cr2", ".nef", ".arw"}
    # Raw photographs and microscope slides that are TIFF files with a small preview as their first picture.
    | {".orf", ".rw2", ".pef", ".srw", ".3fr", ".iiq", ".erf", ".kdc", ".dcr", ".svs", ".ndpi", ".scn"}
)
# Files and folders of operating systems, storage devices and photo programs, in lower case.
JUNK = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "network trash folder", "temporary items"}  # Windows, macOS
    | {"$recycle.bin", "recycler", "system volume information", "found.000", "lost+found", "lost.dir"}  # disks
    | {"@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot"}  # Synology, QNAP
    | {"__pycache__"}
)


@dataclass(frozen=True, slots=True)
class Item:
    """Listed file.

    Attributes:
        file: absolute path.
        name: posix path relative to the data root.
        split: the split that the source gives; `train` images may be assigned to another one later.
        problem: why the file is not opened, or "".
        group: value of the table's `data.group` column, or "".
        is_image: False for files that are no images, such as text files; they have a problem.
        several: the image may have several labels: `label` is the text of a label set (`data/label_sets.py`).
    """

    file: str
    name: str
    label: str
    split: str = "train"
    problem: str = ""
    group: str = ""
    is_image: bool = True
    several: bool = False


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


CONFIG_PATH_HINT = "relative paths are relative to the config file's folder"
SHELL_PATH_HINT = "relative paths on the command line are relative to the current folder"


def check_exists(path: Path, key: str, given: str, hint: str = CONFIG_PATH_HINT) -> None:
    """Raise `DataError` if a path does not exist; `key` and `given` are the config key and its value."""
    if not os.path.exists(path):  # noqa: PTH110 - False, without an error, for an impossible file name
        if is_address(given):
            hint = "only files of this machine are read: copy or mount them, and give that folder"
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
        items += [folder_file(file, base, normalised_label(label), split) for file in sorted(walk(folder / label))]
    return items


def empty_classes(folder: Path, items: Iterable[Item]) -> dict[str, str]:
    """Return the class folders without an image in `items`, each with a short text on its contents."""
    filled = {item.label for item in items if item.is_image}
    return {name: _contents(folder / name) for name in sub_folders(folder) if normalised_label(name) not in filled}


def check_filled(empty: Mapping[str, str]) -> None:
    """Raise `DataError` for the first empty class, if there is one."""
    for label, contents in empty.items():
        raise DataError(
            f"class {label!r} has no images: its folder holds {contents}",
            f"add images, or remove the folder; file types read: {', '.join(sorted(IMAGE_EXTENSIONS))}",
        )


def _check_label(label: str, folder: Path) -> None:
    """Raise `DataError` if a class name is not valid Unicode, or only spaces."""
    if not normalised_label(label):
        raise DataError(f"a class folder in {str(folder)!r} has only spaces as its name: {label!r}", "rename it")
    try:
        label.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"the class folder {os.fsencode(label)!r} in {str(folder)!r} is not valid Unicode",
            "rename it: class names are written into labels.json",
        ) from error


def folder_file(file: str, base: Path, label: str, split: str) -> Item:
    """Return a file of a folder, with its problem if it is not read."""
    problem, is_image = listed_file(file)
    return Item(file, relative(file, base), label, split, problem, is_image=is_image)


def listed_file(file: str) -> tuple[str, bool]:
    """Return why a file in a folder is not read, or "", and True if it counts as an image.

    The name decides if it has the extension of an image, else the content.
    """
    extension = Path(file).suffix.lower()
    if extension in IMAGE_EXTENSIONS:
        return "", True
    if extension in OTHER_IMAGES:
        return f"not read: extension {extension!r}", True
    head = first_bytes(file)
    if format_of(head):
        return "", True
    if other := other_image(head):
        return f"not read: {other}", True
    if Path(file.partition("?")[0]).suffix.lower() in IMAGE_EXTENSIONS:  # the name of a download, with a query
        return "", True
    return f"not read: extension {extension!r}", False


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
