"""Class folders of `predict --sort-into`: links to the images that were predicted, or copies of them.

The images themselves stay as they are, and no file in the folders is ever replaced. A kill leaves only whole files, and
starting the same command again adds what is missing.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from transfercli.data.archive_members import archive_of, is_regular
from transfercli.data.sources.storage.remote_inputs import fetched_copies, lacking_copies
from transfercli.errors import UsageError
from transfercli.io.atomic import make_folder
from transfercli.reporting import Reporter
from transfercli.runs.output_paths import check_output_folder
from transfercli.text import counted
from transfercli.workflows.predict.class_folders import ABSTAINED, UNLABELLED, UNREADABLE, folders_of
from transfercli.workflows.predict.outputs import Output, image_folders
from transfercli.workflows.predict.placing import Source, put
from transfercli.workflows.predict.predict import Prediction, Predictions, PredictRequest

OPTION = "--sort-into"
SortAs = Literal["link", "hardlink", "copy"]


def sort_into(
    folder: Path,
    predictions: Predictions,
    request: PredictRequest,
    how: SortAs,
    reporter: Reporter,
    written: Callable[[str], None],
) -> Output:
    """Return the output that puts each image into the folder of its class, in `folder`, which is made.

    written: called with a sentence on what was sorted. Raises `UsageError` if images get numbers, if the folder cannot
    be written to, or if it and the images are in one another: sorted images would be predicted again.
    """
    if predictions.has_numbers:
        raise UsageError(f"{OPTION}: {request.run} gives an image a number, and no class", "use --report DIR")
    check_output_folder(folder, OPTION)
    _check_apart(folder, request)
    sorter = _Sorter(folder, how, reporter)

    @contextmanager
    def files() -> Iterator[Callable[[Prediction], None]]:
        try:
            yield sorter.take
        finally:
            if sorter.counts:
                written(sorter.summary())

    return files()


def _check_apart(folder: Path, request: PredictRequest) -> None:
    real = Path(os.path.realpath(folder))
    for given, images in image_folders(request):
        if real.is_relative_to(images) or images.is_relative_to(real):
            raise UsageError(
                f"{OPTION} {str(folder)!r} and the images in {given!r} are in one folder: sorted images would be"
                " predicted again",
                "name a folder outside of it",
            )


class _Sorter:
    """Folder of class folders.

    counts: images in each class folder. present: those that were there before.
    """

    def __init__(self, folder: Path, how: SortAs, reporter: Reporter) -> None:
        self.counts, self.present = Counter[str](), 0
        self._folder, self._how, self._reporter = folder, how, reporter
        self._made: set[str] = set()

    def take(self, prediction: Prediction) -> None:
        """Put an image where it belongs."""
        file = prediction.file or prediction.path
        if prediction.file:
            fetched_copies(lacking_copies([file]), self._reporter)
        if not _is_file(file) or self._is_inside(file):
            return
        stored = bool(prediction.file or archive_of(file))  # a copy that may give way, or no file of its own
        source = Source(file, "copy" if stored else self._how)
        for name in folders_of(prediction):
            self.counts[name] += 1
            self.present += not put(source, self._class_folder(name))

    def summary(self) -> str:
        """Return a sentence on what was sorted."""
        special = {ABSTAINED: "abstained", UNLABELLED: "without a label", UNREADABLE: "unreadable"}
        classes = [name for name in self.counts if name not in special]
        total = sum(self.counts[name] for name in classes)
        parts = [f"{counted(total, 'image')} in {counted(len(classes), 'class', 'classes')}"] if classes else []
        parts += [f"{self.counts[name]} {words}" for name, words in special.items() if self.counts[name]]
        text = f"sorted into {self._folder}: {', '.join(parts)}"
        return f"{text}; {self.present} of them were there already" if self.present else text

    def _is_inside(self, file: str) -> bool:
        return Path(os.path.realpath(file)).is_relative_to(os.path.realpath(self._folder))

    def _class_folder(self, name: str) -> Path:
        """Return a class folder, which is made. Raises `UsageError` if something else is in its place."""
        path = self._folder / name
        if name not in self._made:
            make_folder(self._folder)
            with suppress(FileExistsError):
                path.mkdir()
            if not stat.S_ISDIR(path.lstat().st_mode):
                raise UsageError(
                    f"{OPTION}: {str(path)!r} is a link or a file, and no folder", "remove it, or name another folder"
                )
            self._made.add(name)
        return path


def _is_file(file: str) -> bool:
    try:
        return is_regular(file)
    except (OSError, ValueError):  # gone, or an impossible file name
        return False
