"""Recipe of `finetune --folds` and `training.seeds`: train the runs, summarise them, predict out of fold."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from transfercli.config.loader import dump, load, read_once
from transfercli.errors import Interrupted
from transfercli.reporting import Reporter
from transfercli.runs.folder import series_folder
from transfercli.runs.lock import experiment_lock
from transfercli.runs.record import is_flattered
from transfercli.workflows.answers import held_out_predictions, metrics_of_answers
from transfercli.workflows.held_out_images import not_learnt_before
from transfercli.workflows.regression import refuse_numbers
from transfercli.workflows.series.evaluate import evaluate_out_of_fold
from transfercli.workflows.series.members import Series, folds_of, seeds_of
from transfercli.workflows.series.out_of_fold import held_out_of, pool_answers
from transfercli.workflows.series.result import MemberResult, SeriesEstimate, SeriesResult
from transfercli.workflows.series.shared_images import SharedImages
from transfercli.workflows.series.spread import spreads_of
from transfercli.workflows.series.stored_series import write_series
from transfercli.workflows.series.train import TrainedMember, train_members
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.job import TrainRequest
from transfercli.workflows.train.results import CostEstimate, TrainResult
from transfercli.workflows.train.train import train, train_job

if TYPE_CHECKING:
    from transfercli.evaluation.scoring import Predicted


def train_run_or_series(
    request: TrainRequest, folds: int | None, reporter: Reporter
) -> TrainResult | CostEstimate | SeriesResult | SeriesEstimate:
    """Train a run, or a run for each fold, or for each of `training.seeds`."""
    if request.config is not None:
        request = replace(request, document=read_once(request.config))
    if folds is not None:
        return train_series(folds_of(request, folds), reporter)
    if request.config is not None and not request.resume:
        config = load(request.config, request.overrides, request.document).config
        if (seeds := config.training.seeds) is not None:
            return train_series(seeds_of(request, seeds, config.seed, config.name), reporter)
    return train(request, reporter)


def train_series(series: Series, reporter: Reporter) -> SeriesResult | SeriesEstimate:
    """Train the runs of a series that are not complete, and return all of them with their mean and spread.

    With `dry_run` only the cost is estimated. A run that fails is in the result; errors are raised as by `train_folds`.
    """
    started, request = time.perf_counter(), series.request
    first = series.job(series.members[0], reporter)
    refuse_numbers(first.config.task, f"training {series.kind}")
    experiment = first.run.path.parent
    folder = series_folder(experiment, series.kind, series.series_id)
    waiting = partial(reporter.progress, "waiting for the lock", 0, 1, "")
    with first.loaded.placing(), experiment_lock(experiment, request.wait, waiting):
        images = SharedImages(series.seed)
        if request.dry_run and (cost := _estimate(series, images, reporter)):
            return cost
        digest = hashlib.sha256(dump(first.config).encode()).hexdigest()
        write_series(folder, series, digest, {"status": "running"})
        trained = train_members(series, reporter, images=images)
        with _stopping_after_training(series, reporter):
            result = _summary(series, trained, folder, reporter)
        result = replace(result, seconds=round(time.perf_counter() - started, 3))
        write_series(folder, series, digest, result.as_stored())
    return result


def _estimate(series: Series, images: SharedImages, reporter: Reporter) -> SeriesEstimate | None:
    """Return the cost of the runs that are not complete; None if all are."""
    for number, member in enumerate(series.members):
        cost = train_job(series.job(member, reporter), reporter, read=images.read, dry_run=True)
        if isinstance(cost, CostEstimate):
            return SeriesEstimate(series.kind, len(series.members) - number, cost)
    return None


@contextmanager
def _stopping_after_training(series: Series, reporter: Reporter) -> Iterator[None]:
    """Add the command that goes on to a request to stop after the last run."""
    text = "stopped; all runs are trained and kept"
    reporter.describe_forced_stop(lambda signum: Interrupted(signum, text, series.going_on))
    try:
        yield
    except Interrupted as stop:
        raise Interrupted(stop.signum, text, series.going_on) from None


def _summary(series: Series, trained: Sequence[TrainedMember], folder: Path, reporter: Reporter) -> SeriesResult:
    """Return the runs with their metrics, mean and spread, and write the evaluation out of fold."""
    completed = [StoredRun(member.run, reporter) for member in trained if member.result]
    by_run = _fold_metrics(completed) if series.kind == "folds" else [_held_out_metrics(run) for run in completed]
    metrics = {run.path: values for run, values in zip(completed, by_run, strict=True)}
    runs = tuple(
        MemberResult(one.member, one.run.path, one.result, metrics.get(one.run.path, {}), one.failure)
        for one in trained
    )
    evaluation = evaluate_out_of_fold(completed, folder, reporter) if completed and series.kind == "folds" else None
    if series.kind == "seeds" and completed and all(map(_is_solved, completed)):
        reporter.warning(
            "the head is solved, so a seed draws no weights and no batches, only the folds that choose the strength:"
            " the spread over seeds is not that of other images; finetune --folds shows it"
        )
    name = f"{folder.parent.parent.name}/{series.series_id}"
    task = completed[0].config.task if completed else "classify"
    return SeriesResult(series.kind, name, folder, runs, spreads_of(by_run), evaluation, task)


def _fold_metrics(runs: Sequence[StoredRun]) -> list[dict[str, float | None]]:
    """Return the metrics of each fold, of its predictions out of fold, without images that an ancestor learnt from."""
    if not runs:
        return []
    pooled = pool_answers(runs)
    predictions = pooled.predictions()
    folds = [np.flatnonzero(pooled.run_of == number) for number in range(len(runs))]
    return [_honest_metrics(run, predictions.of(rows)) for run, rows in zip(runs, folds, strict=True)]


def _held_out_metrics(run: StoredRun) -> dict[str, float | None]:
    """Return the metrics of the images that score a run and no ancestor learnt from, calibrated as it predicts."""
    return _honest_metrics(run, held_out_predictions(run, held_out_of(run)))


def _honest_metrics(run: StoredRun, predictions: Predicted) -> dict[str, float | None]:
    """Return the metrics of a run's predictions of images that no ancestor learnt from; None each if there are none."""
    if is_flattered(run.record.content):
        predictions = predictions.of(np.flatnonzero(not_learnt_before(run, predictions.paths, Reporter())))
    return metrics_of_answers(predictions)


def _is_solved(run: StoredRun) -> bool:
    return all(phase.get("kind") in ("probe", "refit") and not phase.get("epochs") for phase in run.record.phases)
