"""Folder that `data next` writes: a table to fill in, a page of thumbnails, and links to sort."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.data.remote.versions import fetch_now
from transfercli.data.sources.folders import absolute, is_hidden
from transfercli.errors import DataError, UsageError
from transfercli.io import atomic
from transfercli.io.addresses import address_of, as_given, is_remote, local_copy
from transfercli.runs.output_paths import check_output_folder
from transfercli.text import counted

if TYPE_CHECKING:
    from transfercli.data.dataset import Split
    from transfercli.workflows.data.next_choice import ChosenImage

FOLDER = "labelling"  # in the working folder, where the files go without `--out`
TABLE, PAGE, LINKS = "next.csv", "index.html", "to-sort"
COLUMNS = ("path", "label", "guess", "probability", "rank", "score", "reason")
LONGEST = 200  # bytes of the name of a link


@dataclass(frozen=True)
class ChosenFiles:
    """Files of the chosen images, as absolute paths, and of remote ones their addresses, which the table lists.

    Local copies may give way to others later, so that images are copied out of them instead of linked.
    """

    files: list[str]
    addresses: list[str]

    @classmethod
    def of(cls, images: Path, paths: Sequence[str], cache: Path, on_wait: Callable[[], None]) -> ChosenFiles:
        """Return the files of images below a folder or an address; those that gave way are fetched again.

        paths: relative to `images`. cache: folder of the caches. on_wait: called while they are fetched.

        Raises `DataError` if one cannot be fetched.
        """
        given = as_given(images)
        if not is_remote(given):
            return cls([absolute(path, images.absolute()) for path in paths], [])
        folder = local_copy(given, cache)
        files = [absolute(path, folder) for path in paths]
        for reason in fetch_now(files, cache, on_wait).values():
            raise DataError(reason, "start the command again")
        return cls(files, [address_of(file, cache) for file in files])


def output_folder(given: Path | None, images: Path, experiment: str) -> Path:
    """Return the folder to write: the given one, or the next free one for an experiment below `FOLDER`.

    images: the folder of unlabelled images. Raises `UsageError` if the given one has content, lies in that folder, or
    cannot be written.
    """
    if given is None:
        numbers = range(1, 10**6)
        given = next(path for n in numbers if not os.path.lexists(path := Path(FOLDER, f"{experiment}-{n}")))
        check_output_folder(given, "--out")
        return given
    check_output_folder(given, "--out")
    if given.is_dir() and (present := len(list(given.iterdir()))):
        raise UsageError(
            f"--out {str(given)!r} is not empty ({counted(present, 'entry', 'entries')})",
            "name a folder that does not exist yet: sorted images are never overwritten",
        )
    if Path(os.path.realpath(given)).is_relative_to(os.path.realpath(images)):
        raise UsageError(
            f"--out {str(given)!r} lies in the folder of images, {str(images)!r}", "name a folder outside of it"
        )
    return given


def write_folder(
    out: Path, chosen: Sequence[ChosenImage], places: ChosenFiles, split: Split, facts: Mapping[str, Any]
) -> bool:
    """Write all files, or none. Return False if images had to be copied, because links are not possible.

    Args:
        chosen: the images, in the order of `split`.
        places: their files.
        facts: of the page, beside the images.
    """
    from transfercli.evaluation.report.next_page import render_page

    files, page = places.files, render_page(chosen, split.images, TABLE, LINKS, facts)
    linked = not places.addresses
    with atomic.new_folder(out) as folder:
        atomic.write_text(folder / TABLE, _table(chosen, places.addresses or [_relative(file, out) for file in files]))
        atomic.write_text(folder / PAGE, page)
        for number, image in enumerate(chosen):
            name = f"{image.rank:0{len(str(len(chosen)))}d}-{_short(Path(files[number]).name)}"
            place = Path(LINKS, folder_of(image.guess), name)
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            linked = _link(files[number], folder / place, out / place, linked)
    return linked


def _table(chosen: Sequence[ChosenImage], paths: Sequence[str]) -> str:
    """Return the table as CSV; paths are relative to its folder, or addresses, as `data.train` reads them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for image, path in zip(chosen, paths, strict=True):
        writer.writerow(
            (path, "", image.guess, f"{image.probability:.4f}", image.rank, f"{image.score:.6g}", image.reason)
        )
    return text.getvalue()


def _relative(file: str, folder: Path) -> str:
    """Return the path of a file relative to a folder; only links to folders are resolved, not the file itself."""
    real = Path(os.path.realpath(Path(file).parent), Path(file).name)
    return os.path.relpath(real, os.path.realpath(folder))


def folder_of(label: str) -> str:
    """Return the name of the folder of a class: its own, unless a folder cannot have it or would be hidden."""
    name = label.replace("/", "_").replace("\0", "_")
    return f"_{name}" if is_hidden(name) else name


def _short(name: str) -> str:
    """Return a file name with at most `LONGEST` bytes, whose extension stays."""
    raw = os.fsencode(name)
    if len(raw) <= LONGEST:
        return name
    ending = os.fsencode(Path(name).suffix)[:20]
    return os.fsdecode(raw[: LONGEST - len(ending)] + ending)


def _link(file: str, place: Path, final: Path, possible: bool) -> bool:
    """Put a relative link to a file at a place, or a copy if links are not possible; return True if they are.

    final: the path that the place will have.
    """
    if possible:
        try:
            place.symlink_to(_relative(file, final.parent))
        except (OSError, NotImplementedError):
            possible = False
    if not possible:
        shutil.copyfile(file, place)
    return possible
