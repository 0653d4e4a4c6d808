"""Page of `predict --report`, with a table of all images beside it."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from transfercli.data.decoding.pictures import file_pictures
from transfercli.data.sources.storage.remote_inputs import fetched_copies, lacking_copies
from transfercli.errors import UsageError
from transfercli.evaluation.report.predicted.chosen import ChosenImages
from transfercli.evaluation.report.predicted.page import SIDE, PageFacts, images_shown, render_page
from transfercli.evaluation.report.thumbnails import image_data_url
from transfercli.io import atomic
from transfercli.io.cores import usable_cores
from transfercli.reporting import Reporter
from transfercli.runs.output_paths import check_output_file, check_output_folder
from transfercli.shards import Shard
from transfercli.workflows.command_lines import command_line, runs_option, shown_path
from transfercli.workflows.predict.outputs import Output, image_folders
from transfercli.workflows.predict.predict import DEFAULT_TOP, Prediction, Predictions, PredictRequest
from transfercli.workflows.predict.table import table_header, table_row

OPTION = "--report"
PAGE_MARK = b"<title>Predictions of "
_HEAD = 4096  # bytes of a page that hold its title


def report_into(
    folder: Path,
    predictions: Predictions,
    request: PredictRequest,
    reporter: Reporter,
    written: Callable[[str], None],
) -> Output:
    """Return the output that writes a page and a table into a folder, which is made; both appear at the end.

    The pictures are read again from the files, since they are larger there and have their own shape.

    written: called with a sentence that names the files. Raises `UsageError` if the folder cannot be written to, or if
    it is in a folder whose images are predicted or has files of these names that no such page wrote.
    """
    page, table = file_names(request.shard)
    _check_apart(folder, request)
    _check_folder(folder, page, table)

    @contextmanager
    def files() -> Iterator[Callable[[Prediction], None]]:
        chosen = ChosenImages(predictions.labels)
        atomic.make_folder(folder)
        with atomic.new_file(folder / table) as temporary:
            with temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                if predictions.has_header:
                    writer.writerow(table_header(predictions))

                def take(prediction: Prediction) -> None:
                    writer.writerow(table_row(prediction, predictions))
                    chosen.add(prediction)

                yield take
            quantity = predictions.labels[0] if predictions.has_numbers else ""
            shard = str(request.shard) if request.shard else ""
            facts = PageFacts(shown_path(Path(request.run)), _command(request), table, shard, quantity)
            text = render_page(chosen, _pictures(chosen, reporter), facts)
            atomic.write_bytes(folder / page, text.encode("utf-8", "replace"))
        written(f"{folder / page} shows what was predicted; {folder / table} lists all images")

    return files()


def _check_apart(folder: Path, request: PredictRequest) -> None:
    real = Path(os.path.realpath(folder))
    for given, images in image_folders(request):
        if real.is_relative_to(images):
            raise UsageError(
                f"{OPTION} {str(folder)!r} is in {given!r}, whose images are predicted", "name a folder outside of it"
            )


def _check_folder(folder: Path, page: str, table: str) -> None:
    check_output_folder(folder, OPTION)
    if not folder.is_dir():
        return
    for name in (page, table):
        check_output_file(folder / name, OPTION)
    if any((folder / name).exists() for name in (page, table)) and not _is_page(folder / page):
        raise UsageError(
            f"{OPTION} {str(folder)!r}: its {page} or {table} is no file of such a page, and would be replaced",
            "name a new folder",
        )


def _is_page(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return PAGE_MARK in file.read(_HEAD)
    except OSError:
        return False


def file_names(shard: Shard | None) -> tuple[str, str]:
    """Return the names of the page and of the table; all shards may write into one folder."""
    part = f"-{shard.number}-of-{shard.count}" if shard else ""
    return f"index{part}.html", f"predictions{part}.csv"


def _command(request: PredictRequest) -> str:
    """Return the command line of the page, without absolute paths."""
    options = [
        *runs_option(request.runs),
        *(["--top", str(request.top)] if request.top != DEFAULT_TOP else []),
        *(["--abstain"] if request.abstain else []),
        *(["--sets", f"{request.sets:g}"] if request.sets is not None else []),
        *(["--shard", str(request.shard)] if request.shard else []),
    ]
    images = [shown_path(Path(path)) for path in request.paths]
    return command_line("predict", shown_path(Path(request.run)), *images, *options, OPTION, "FOLDER")


def _pictures(chosen: ChosenImages, reporter: Reporter) -> dict[int, str]:
    """Return `id` of a prediction -> `data:` URL of its picture, for all that the page shows."""
    images = images_shown(chosen)
    files = [image.file or image.path for image in images]
    fetched_copies(lacking_copies(files), reporter)
    found = {}
    for image, picture in zip(images, file_pictures(files, SIDE, min(4, usable_cores())), strict=True):
        found[id(image)] = "" if picture is None else image_data_url(picture, SIDE)
        reporter.progress("pictures", len(found), len(images))
    return found
