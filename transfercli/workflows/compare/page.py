"""What `runs compare --report FILE` writes: the images that tell two runs apart are read again, those and no others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from transfercli.data.manifest import read_manifest
from transfercli.data.recorded_images import Remaining, read_remaining
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.io import atomic
from transfercli.reporting import Reporter
from transfercli.runs import record
from transfercli.runs.folder import RunFolder
from transfercli.workflows.command_lines import run_words, runs_option, spelled, told
from transfercli.workflows.evaluate.evaluate import reading_for
from transfercli.workflows.model import read_run_config

if TYPE_CHECKING:
    from transfercli.evaluation.report.compare_page import RunComparison
    from transfercli.workflows.compare.comparison import CompareRequest, Held


def write_comparison_page(path: Path, held: Sequence[Held], request: CompareRequest, reporter: Reporter) -> None:
    """Write the page of all comparisons at once, whole or not at all."""
    from transfercli.evaluation.report.compare_page import gallery_size, render_comparisons

    most = gallery_size(len(held))
    comparisons = [_run_comparison(one, request.split, most, reporter) for one in held]
    page = render_comparisons(comparisons, request.split, _spelled(held, request))
    atomic.write_bytes(path, page.encode("utf-8", "replace"))


def _run_comparison(held: Held, split: str, most: int, reporter: Reporter) -> RunComparison:
    from transfercli.evaluation.examples import changes
    from transfercli.evaluation.report.compare_page import RunComparison

    fixed, broken = changes(held.before, held.after, most)
    runs = (held.champion, held.challenger)
    pictures, lost = pictures_of(runs, split, [one.challenger.path for one in (*fixed, *broken)], reporter)
    return RunComparison(
        champion=held.champion.label,
        challenger=held.challenger.label,
        compared=held.compared,
        before=held.before,
        after=held.after,
        fixed=fixed,
        broken=broken,
        pictures=pictures,
        missing=lost,
        config=held.config,
        seconds=held.seconds,
        only_known=held.only_known,
    )


def pictures_of(
    runs: Iterable[RunFolder], split: str, paths: Sequence[str], reporter: Reporter
) -> tuple[dict[str, str], dict[str, str]]:
    """Return `data:` URLs of the images at `paths`, and the reasons why others have none, both by path.

    An image is read by the first of the runs that finds its file unchanged.
    """
    from transfercli.evaluation.report.thumbnails import image_data_url

    pictures: dict[str, str] = {}
    lost: dict[str, str] = {}
    for run in runs:
        remaining = _remaining(run, split, [path for path in paths if path not in pictures], reporter)
        pictures |= {path: image_data_url(remaining.read(path)) for path in remaining.rows}
        lost |= remaining.lost
    return pictures, lost


def _remaining(run: RunFolder, split: str, paths: Sequence[str], reporter: Reporter) -> Remaining:
    config, wanted = read_run_config(run), set(paths)
    records = [one for one in read_manifest(run.dataset) if one.split == split and one.path in wanted]
    if records and is_keras(config.data.train):
        from transfercli.training.backend import prepare

        prepare(config.compute, config.seed)  # before its data sets are imported from Keras
    folder = record.config_folder(run)
    return read_remaining(records, config.data.train, folder, reading_for(config, folder, reporter))


def _spelled(held: Sequence[Held], request: CompareRequest) -> str:
    runs = [held[0].champion, *(one.challenger for one in held)]
    words = [run_words(run, request.runs)[0] for run in runs] + runs_option(request.runs)
    words += ["--split", request.split, "--metric", request.metric]
    return spelled("runs", "compare", *words, "--report", told(request.report or Path()))
