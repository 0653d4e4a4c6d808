"""Comparison of two runs: what differs, at once, and the page of `runs compare --report`, made beside the request."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.datastructures import QueryParams
from starlette.responses import HTMLResponse
from starlette.routing import Route

from transfercli.errors import ArtefactError, UsageError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.compare.compare import compare_runs, config_differences, seconds_spent
from transfercli.workflows.compare.comparison import CompareRequest
from transfercli.workflows.evaluate.provenance import is_stale
from transfercli.workflows.runs.rows import evaluation_metrics, is_evaluation
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.ui.pages.choices import OFFERED, named_runs
from transfercli.workflows.ui.pages.parts import part
from transfercli.workflows.ui.pages.run_parts import Difference, shown_differences
from transfercli.workflows.ui.pages.stored_files import page_policy
from transfercli.workflows.ui.run_index import label_of
from transfercli.workflows.ui.site import Section, Site
from transfercli.workflows.ui.stamps import Stamp, stamp_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

SPLITS = ("test", "validation")


@dataclass(frozen=True, slots=True)
class Sides:
    """A number of each of two runs, None if one has none."""

    name: str
    first: float | None
    second: float | None

    @property
    def difference(self) -> float | None:
        return None if self.first is None or self.second is None else self.second - self.first


def split_of(query: QueryParams, runs: Sequence[StoredRun]) -> str:
    """Return the images that an address asks for; else test images, as `runs compare` takes.

    A page evaluates no run: unless all have an evaluation on test images, their answers on validation images are shown.
    """
    if (given := query.get("split")) in SPLITS:
        return str(given)
    lacking = part(lambda: any(is_stale(run.folder, "test") for run in runs))
    return "validation" if lacking.value or lacking.problem else "test"


def metrics_beside(first: StoredRun, second: StoredRun) -> list[Sides]:
    """Return the metrics of the best epochs, then those of the evaluations on test images."""
    found = [Sides(name, *values) for name, values in _beside(first.record.metrics, second.record.metrics)]
    tests = [evaluation_metrics(folder) if is_evaluation(folder := _test(run)) else {} for run in (first, second)]
    return found + [Sides(f"test_{name}", *values) for name, values in _beside(*tests)]


def _test(run: StoredRun) -> Path:
    return run.folder.evaluation("test")


def _beside(
    first: dict[str, float | None], second: dict[str, float | None]
) -> list[tuple[str, tuple[float | None, float | None]]]:
    names = [name for name in first | second if first.get(name) is not None or second.get(name) is not None]
    return [(name, (first.get(name), second.get(name))) for name in names[:100]]


def config_beside(first: StoredRun, second: StoredRun) -> list[Difference]:
    """Return the config keys in which two runs differ."""
    changes = config_differences(first, second)
    return shown_differences({each["key"]: (each["champion"], each["challenger"]) for each in changes})


def seconds_beside(first: StoredRun, second: StoredRun) -> list[Sides]:
    """Return the seconds of each stage."""
    stages = seconds_spent(first, second).items()
    return [Sides(name, spent["champion"], spent["challenger"]) for name, spent in stages]


def check_answers(runs: Sequence[StoredRun], split: str) -> bool:
    """Return True if two runs can be compared as they are.

    Raises `ArtefactError` if one would have to be evaluated first: the site writes nothing into runs.
    """
    for run in runs:
        _check_answers(run, split)
    return True


def _check_answers(run: StoredRun, split: str) -> None:
    stored = split == "validation" and run.status == "completed" and run.held_out is not None
    if not stored and is_stale(run.folder, split):
        raise ArtefactError(
            f"{run.label} has no up-to-date evaluation on {split} images",
            f"transfercli evaluate {run.label} --split {split} makes it",
        )


def comparison_page(labels: Sequence[str], runs: Path, split: str, reporter: Reporter) -> bytes:
    """Return the page of `runs compare --report`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "comparison.html")
        compare_runs(CompareRequest(tuple(labels), runs, split, report=file), reporter)
        return file.read_bytes()


def routes(site: Site) -> Sequence[Route]:
    """Return the routes of the page and of the long comparison."""

    def two_runs(request: Request) -> list[StoredRun]:
        names = named_runs(request.query_params, 2)
        if len(names) < 2:
            raise UsageError(f"a comparison needs two runs; received {len(names)}", "choose two")
        return [StoredRun(site.run_folder(name), site.reporter) for name in names]

    def show(request: Request) -> Response:
        names = named_runs(request.query_params, 2)
        runs = part(lambda: two_runs(request)) if len(names) == 2 else None
        split = split_of(request.query_params, (runs and runs.value) or ())
        newest = site.index.listing().newest
        facts: dict[str, Any] = {"names": names, "split": split, "splits": SPLITS, "offered": newest[:OFFERED]}
        if runs is not None and runs.value:
            first, second = runs.value
            facts |= {
                "labels": [label_of(run.folder) for run in runs.value],
                "metrics": part(lambda: metrics_beside(first, second)),
                "config": part(lambda: config_beside(first, second)),
                "seconds": part(lambda: seconds_beside(first, second)),
                "blocked": part(lambda: check_answers((first, second), split)).problem,
            }
        return site.page(request, "two_runs.html.j2", problem=runs.problem if runs else "", **facts)

    def whole(request: Request) -> Response:
        runs = two_runs(request)
        split = split_of(request.query_params, runs)
        check_answers(runs, split)
        labels = tuple(label_of(run.folder) for run in runs)
        key = ("compare", labels, split, tuple(_stamps(run.folder, split) for run in runs))
        job = site.jobs.start(key, lambda reporter: comparison_page(labels, site.runs, split, reporter))
        if job.state == "done":
            return HTMLResponse(job.result, headers={"Content-Security-Policy": page_policy()})
        if job.state == "failed":
            site.jobs.forget(key)
            return site.page(request, "error.html.j2", 422, message=job.message, hint=job.hint)
        return site.page(request, "working.html.j2", 202, job=job, title=f"Comparing {' and '.join(labels)}")

    return [Route("/compare", show), Route("/compare/page", whole)]


def _stamps(run: RunFolder, split: str) -> tuple[Stamp | None, ...]:
    """Return the stamps of the files that a comparison reads."""
    return tuple(map(stamp_of, (run.record, run.held_out, run.evaluation(split) / "predictions.csv")))


SECTION = Section("Compare", "/compare", routes)
