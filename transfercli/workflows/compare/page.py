"""What `runs compare --report FILE` writes: the images that tell two runs apart are read again, those and no others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from transfercli.data.recorded_images import Remaining, read_remaining
from transfercli.io import atomic
from transfercli.workflows.command_lines import run_words, runs_option, spelled, told
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.evaluation.report.compare_page import RunComparison
    from transfercli.workflows.compare.comparison import CompareRequest, Held


def write_comparison_page(path: Path, held: Sequence[Held], request: CompareRequest) -> None:
    """Write the page of all comparisons at once, whole or not at all."""
    from transfercli.evaluation.report.compare_page import gallery_size, render_comparisons

    most = gallery_size(len(held))
    comparisons = [_run_comparison(one, request.split, most) for one in held]
    page = render_comparisons(comparisons, request.split, _spelled(held, request))
    atomic.write_bytes(path, page.encode("utf-8", "replace"))


def _run_comparison(held: Held, split: str, most: int) -> RunComparison:
    from transfercli.evaluation.examples import changes
    from transfercli.evaluation.report.compare_page import RunComparison

    fixed, broken = changes(held.before, held.after, most)
    runs = (held.champion, held.challenger)
    pictures, lost = pictures_of(runs, split, [one.challenger.path for one in (*fixed, *broken)])
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


def pictures_of(runs: Iterable[StoredRun], split: str, paths: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return `data:` URLs of the images at `paths`, and the reasons why others have none, both by path.

    An image is read by the first of the runs that finds its file unchanged.
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
    wanted = set(paths)
    records = [image for image in run.images if image.split == split and image.path in wanted]
    if records:
        run.prepare_data()
    return read_remaining(records, run.config.data.train, run.reading)


def _spelled(held: Sequence[Held], request: CompareRequest) -> str:
    runs = [held[0].champion, *(one.challenger for one in held)]
    words = [run_words(run.folder, request.runs)[0] for run in runs] + runs_option(request.runs)
    words += ["--split", request.split, "--metric", request.metric]
    return spelled("runs", "compare", *words, "--report", told(request.report or Path()))
