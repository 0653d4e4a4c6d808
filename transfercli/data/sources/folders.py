"""Finding images: folders with one sub-folder a class, flat or with train/validation/test inside.

Only names decide anything here; no image is opened. Lists come back sorted by name, so that the order never depends
on the file system.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from transfercli.errors import DataError
from transfercli.text import counted

IMAGE_EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff"}
)
# Images that are not read: losing them counts as bad files; a stray notes.txt does not.
OTHER_IMAGES = frozenset(
    {".heic", ".heif", ".avif", ".jp2", ".jxl", ".svg", ".psd", ".ppm", ".pgm", ".ico", ".dng", ".cr2", ".nef", ".arw"}
)
JUNK = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
SIDE_FOLDERS = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
}


@dataclass(frozen=True, slots=True)
class Item:
    """A file that may be an image.

    Attributes:
        file: absolute path.
        name: posix path relative to the data root.
        side: `validation` or `test` where the source says so; `train` leaves it to the splits.
        problem: "" or why it need not be opened.
        group: what its table says in the column of `data.group`; "" without one.
    """

    file: str
    name: str
    label: str
    side: str = "train"
    problem: str = ""
    group: str = ""

    @property
    def counted(self) -> bool:
        """Whether it counts among the images: text files that lie about do not."""
        return not self.problem or Path(self.file).suffix.lower() in OTHER_IMAGES


def relative(file: str, base: Path) -> str:
    """`file` as a posix path from `base`, both taken as they are spelled (links are not resolved)."""
    return Path(os.path.relpath(file, base)).as_posix()


def absolute(name: str, base: Path) -> str:
    """The inverse of `relative`."""
    return os.path.normpath(base / name)


def hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in JUNK


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """A link that leads to itself is a file that cannot be read."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def sub_folders(folder: Path) -> list[str]:
    """Names of the visible sub-folders, sorted; raises DataError where they cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not hidden(entry.name) and _is_folder(entry))
    except OSError as error:
        raise _unlisted(folder, error) from error


def _unlisted(folder: Path, error: OSError) -> DataError:
    return DataError(f"the folder {str(folder)!r} cannot be listed: {error.strerror}", "check its permissions")


def side_folders(folder: Path) -> dict[str, Path]:
    """`{side: folder}` where train/validation/test stand inside, else {}.

    A class may be called `train` (beside `plane`): it is a side only where it has sub-folders, and no other folder
    or at least one more side stands beside it.
    """
    sides: dict[str, Path] = {}
    names = sub_folders(folder)
    for name in names:
        side = SIDE_FOLDERS.get(name.lower())
        if side is None:
            continue
        if side in sides:
            raise DataError(
                f"{str(folder)!r} has two folders for {side}: {sides[side].name!r} and {name!r}", "keep one of them"
            )
        sides[side] = folder / name
    if "train" not in sides or not sub_folders(sides["train"]) or (len(sides) == 1 and len(names) > 1):
        return {}
    return sides


FROM_CONFIG = "relative paths are relative to the config file's folder"
FROM_HERE = "relative paths of a command line are relative to the folder it is typed in"


def must_exist(path: Path, key: str, given: str, hint: str = FROM_CONFIG) -> None:
    if not os.path.exists(path):  # noqa: PTH110 - False, and no error, also for a name that no file can have
        raise DataError(f"{key}: {given!r} does not exist (looked for {str(path)!r})", hint)


def folder_items(folder: Path, base: Path, side: str) -> list[Item]:
    """The files below a folder with one sub-folder a class, classes and files sorted by name.

    Raises DataError where there is no sub-folder, saying what was found.
    """
    labels = sub_folders(folder)
    if not labels:
        raise DataError(
            f"{str(folder)!r} has no class sub-folders; found {_contents(folder)}",
            "expected one sub-folder a class with its images inside, such as cat/001.jpg and dog/001.jpg",
        )
    items = []
    for label in labels:
        _printable(label, folder)
        items += [_item(file, base, label, side) for file in sorted(walk(folder / label))]
    return items


def empty_classes(folder: Path, items: Iterable[Item]) -> dict[str, str]:
    """Class folders of which `items` has no image, and what stands in them instead, in a few words."""
    filled = {item.label for item in items if item.counted}
    return {label: _contents(folder / label) for label in sub_folders(folder) if label not in filled}


def check_filled(empty: Mapping[str, str]) -> None:
    """Raise DataError for the first of the empty classes."""
    for label, contents in empty.items():
        raise DataError(
            f"class {label!r} has no images: its folder has {contents} in it",
            f"put images in, or remove the folder; read are {', '.join(sorted(IMAGE_EXTENSIONS))}",
        )


def _printable(label: str, folder: Path) -> None:
    try:
        label.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"the class folder {os.fsencode(label)!r} in {str(folder)!r} is not valid Unicode",
            "rename it: class names are written into labels.json",
        ) from error


def _item(file: str, base: Path, label: str, side: str) -> Item:
    extension = Path(file).suffix.lower()
    problem = "" if extension in IMAGE_EXTENSIONS else f"not read: extension {extension!r}"
    return Item(file, relative(file, base), label, side, problem)


def walk(folder: Path) -> Iterator[str]:
    """Every visible file below `folder`, each real folder once and none that holds a folder it lies in.

    In the order of their names, folder by folder. Raises DataError where a folder cannot be listed.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        try:
            info = place.stat()
            if (info.st_dev, info.st_ino) in seen or (place.is_symlink() and _encloses(place)):
                continue
            seen.add((info.st_dev, info.st_ino))
            with os.scandir(place) as entries:
                visible = sorted((entry for entry in entries if not hidden(entry.name)), key=lambda entry: entry.name)
        except OSError as error:
            raise _unlisted(place, error) from error
        yield from (entry.path for entry in visible if not _is_folder(entry))
        waiting += [Path(entry.path) for entry in reversed(visible) if _is_folder(entry)]


def _encloses(link: Path) -> bool:
    """Whether a link leads to a folder above itself: following it would give every image the link's class."""
    return link.parent.resolve().is_relative_to(link.resolve())


def _contents(folder: Path) -> str:
    """What stands directly in a folder, in a few words."""
    files = [entry.name for entry in os.scandir(folder) if not hidden(entry.name)]
    if not files:
        return "nothing"
    kinds = Counter(Path(name).suffix.lower() or "no extension" for name in files)
    listed = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items(), key=lambda kv: (-kv[1], kv[0]))[:4])
    return f"{counted(len(files), 'file')} ({listed})"
