"""The page of `runs compare --report FILE`, with the images that only one of two runs predicts right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.data.recorded_images import Remaining, read_remaining
from transfercli.io import atomic
from transfercli.training import history
from transfercli.workflows.command_lines import command_line, run_arguments, runs_option, shown_path
from transfercli.workflows.compare.answers import compared_splits
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.evaluation.report.compare_page import RunComparison
    from transfercli.workflows.compare.comparison import ComparedRun, CompareRequest, CompareResult, PairComparison


def write_comparison_page(path: Path, result: CompareResult, request: CompareRequest) -> None:
    """Write the page of all comparisons; the file is written atomically."""
    from transfercli.evaluation.report.compare_page import FirstRun, detailed, gallery_size, render_comparisons

    pairs = result.comparisons
    first, *others = result.compared
    shown, images = detailed([pair.comparison for pair in pairs]), gallery_size(len(pairs))
    comparisons = [
        _run_comparison(result, pair, run, images if number in shown else 0)
        for number, (pair, run) in enumerate(zip(pairs, others, strict=True))
    ]
    lines = history.read(pairs[0].champion.folder.metrics)
    page = render_comparisons(
        comparisons, request.split, _compare_command(pairs, request), FirstRun(first.name, first.is_champion, lines)
    )
    atomic.write_bytes(path, page.encode("utf-8", "replace"))


def _run_comparison(result: CompareResult, pair: PairComparison, run: ComparedRun, max_images: int) -> RunComparison:
    from transfercli.evaluation.examples import changes
    from transfercli.evaluation.multilabel.changes import changes_by_label, label_changes
    from transfercli.evaluation.report.compare_page import RunComparison

    before: Any = pair.before  # both of one task
    after: Any = pair.after
    several = pair.champion.several
    found = (label_changes if several else changes)(before, after, max_images)
    by_label = changes_by_label(before, after, in_all=max_images) if several else []
    of_labels = [change for label in by_label for change in (*label.shown_fixed, *label.shown_broken)]
    shown = [change.challenger.path for change in (*found[0], *found[1], *of_labels)]
    runs = (pair.champion, pair.challenger)
    pictures, lost = pictures_of(runs, result.split, shown)
    return RunComparison(
        champion=pair.champion.label,
        challenger=pair.challenger.label,
        compared=pair.comparison,
        before=pair.before,
        after=pair.after,
        fixed=found[0],
        broken=found[1],
        pictures=pictures,
        missing=lost,
        config=pair.config,
        seconds=pair.seconds,
        only_known=pair.only_known,
        left_out=pair.left_out,
        name=run.name,
        is_champion=run.is_champion,
        adjusted=pair.adjusted if len(result.comparisons) > 1 else None,
        lines=history.read(pair.challenger.folder.metrics),
        by_label=by_label,
    )


def pictures_of(runs: Iterable[StoredRun], split: str, paths: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return `data:` URLs of the images at `paths`, and the reasons why others have none, both by path.

    An image is read with the first of the runs whose recorded file is unchanged.
    """
    from transfercli.evaluation.report.thumbnails import image_data_url

    pictures: dict[str, str] = {}
    lost: dict[str, str] = {}
    for run in runs:
        remaining = _remaining(run, split, [path for path in paths if path not in pictures])
        pictures |= {path: image_data_url(remaining.read(path)) for path in remaining.rows}
        lost |= remaining.lost
    return pictures, lost


def _remaining(run: StoredRun, split: str, paths: Sequence[str]) -> Remaining:
    requested, splits = set(paths), compared_splits(run, split)
    records = [image for image in run.images if image.split in splits and image.path in requested]
    if records:
        run.prepare_data()
    return read_remaining(records, run.config.data.train, run.reading)


def _compare_command(pairs: Sequence[PairComparison], request: CompareRequest) -> str:
    """Return the command line of a comparison, without absolute paths."""
    runs = [pairs[0].champion, *(pair.challenger for pair in pairs)]
    arguments = [run_arguments(run.folder, request.runs)[0] for run in runs] + runs_option(request.runs)
    arguments += ["--split", request.split, "--metric", request.decisive]
    return command_line("runs", "compare", *arguments, "--report", shown_path(request.report or Path()))
