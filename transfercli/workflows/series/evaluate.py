"""Evaluation of a series: predictions out of fold, or every run on the same images, with mean and spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transfercli.config.loader import dump
from transfercli.config.types import Task
from transfercli.data.dataset import joined
from transfercli.errors import UsageError
from transfercli.evaluation.metric_tables import METRIC_TABLES
from transfercli.reporting import Reporter
from transfercli.workflows.answers import evaluate_answers
from transfercli.workflows.evaluate.evaluate import EvaluateResult, evaluate_run, gates_of, read_slices
from transfercli.workflows.evaluate.request import EvaluateRequest
from transfercli.workflows.evaluate.shards import ShardResult, evaluate_shard
from transfercli.workflows.known_images import VALIDATION, known_images, report_known
from transfercli.workflows.series.members import Kind
from transfercli.workflows.series.out_of_fold import OutOfFold, pool_answers
from transfercli.workflows.series.spread import Spread, spreads_of
from transfercli.workflows.series.stored_series import StoredSeries, find_series
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.data.dataset import Split
    from transfercli.evaluation.gates import Gate
    from transfercli.evaluation.report.report import ReportContext
    from transfercli.evaluation.result import Evaluation

OUT_OF_FOLD = "out-of-fold"  # name of the split in its report


@dataclass(frozen=True)
class SeriesEvaluation:
    """Every run of a series on one split. Gates hold against the means.

    Attributes:
        name: EXPERIMENT/ID.
        facts: {"fold", "of"} or {"seed"} of each run.
        results: of each run.
        metrics: mean and spread of each metric of the images that gates may use.
    """

    kind: Kind
    name: str
    split: str
    facts: tuple[dict[str, int], ...]
    results: tuple[EvaluateResult, ...]
    metrics: Mapping[str, Spread]
    gates: list[dict[str, Any]]

    @property
    def task(self) -> Task:
        """The task of the runs."""
        return self.results[0].task

    def as_json(self) -> dict[str, Any]:
        runs = [
            {
                "run": str(result.run),
                **facts,
                "examples": result.evaluation.examples,
                "metrics": dict(result.evaluation.metrics),
                "honest": dict(result.evaluation.honest),
            }
            for facts, result in zip(self.facts, self.results, strict=True)
        ]
        return {
            "series": self.name,
            "kind": self.kind,
            "split": self.split,
            "metrics": {name: spread.mean for name, spread in self.metrics.items()},
            "spread": {name: spread.as_json() for name, spread in self.metrics.items()},
            "gates": self.gates,
            "runs": runs,
        }


@dataclass(frozen=True)
class OutOfFoldResult(EvaluateResult):
    """The evaluation of predictions out of fold; its JSON is that of a run, and names the series."""

    name: str = ""

    def as_json(self) -> dict[str, Any]:
        return {"series": self.name, "kind": "folds", **super().as_json()}


def evaluate_run_or_series(
    request: EvaluateRequest, reporter: Reporter
) -> EvaluateResult | SeriesEvaluation | OutOfFoldResult | ShardResult:
    """Evaluate a run or a shard of it, or a series that EXPERIMENT/ID names.

    A failed gate raises no error; the result contains it.
    """
    request.check_shards()
    series = find_series(request.run, request.runs)
    if series is None:
        return evaluate_shard(request, reporter) if request.shard else evaluate_run(request, reporter)
    if request.shard or request.merged:
        raise UsageError(
            f"{series.name} names several runs, and shards are of one",
            f"name one of them, such as {series.runs[0].label}",
        )
    if request.data is None and series.kind == "folds" and request.split == VALIDATION:
        return _evaluate_out_of_fold(series, request, reporter)
    return _evaluate_each(series, request, reporter)


def _evaluate_out_of_fold(series: StoredSeries, request: EvaluateRequest, reporter: Reporter) -> OutOfFoldResult:
    if unwanted := [name for name in ("corrupt", "tta") if getattr(request, name)]:
        raise UsageError(f"--{unwanted[0]} needs a model, and predictions out of fold are of several", "name one run")
    runs = series.completed_runs(reporter)
    for run in runs:
        run.accept_bad(request.max_bad)
    active = gates_of(runs[0], request)
    folder = request.out or series.folder
    evaluation = evaluate_out_of_fold(runs, folder, reporter, active, request.gate_on)
    return OutOfFoldResult(series.folder, request.split, evaluation, folder, runs[0].config.task, series.name)


def evaluate_out_of_fold(
    runs: Sequence[StoredRun], folder: Path, reporter: Reporter, gates: Sequence[Gate] = (), gate_on: str = "point"
) -> Evaluation:
    """Return the evaluation of the runs' answers to their own folds, and write its files to a folder."""
    from transfercli.evaluation.report.write import write_evaluation

    pooled, config = pool_answers(runs), runs[0].config
    splits = [_in_order(run.split(VALIDATION), pooled, number) for number, run in enumerate(runs)]
    known = [known_images(run, split, reporter, own=True) for run, split in zip(runs, splits, strict=True)]
    split, predictions = joined(splits, OUT_OF_FOLD), pooled.predictions()
    evaluation = evaluate_answers(
        predictions,
        shown=config.evaluation.metrics,
        gates=gates,
        gate_on=gate_on,
        slices=read_slices(runs[0], split, None),
        seed=config.seed,
        left_out=np.concatenate([images.left_out for images in known]),
    )
    evaluation = replace(
        evaluation,
        known=_sums([images.counts for images in known]),
        known_gaps=tuple(dict.fromkeys(gap for images in known for gap in images.gaps)),
    )
    if evaluation.honest_examples != evaluation.examples:
        report_known(evaluation, reporter)
    write_evaluation(folder, evaluation, predictions, _context(runs, split, folder))
    return evaluation


def _in_order(split: Split, pooled: OutOfFold, run: int) -> Split:
    """Return the images of a fold in the order of its answers."""
    row_of = {path: row for row, path in enumerate(split.paths)}
    paths = [pooled.answers.paths[row] for row in np.flatnonzero(pooled.run_of == run)]
    return split.at(np.array([row_of[path] for path in paths], np.int64))


def _sums(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    return {name: sum(count.get(name, 0) for count in counts) for name in dict.fromkeys(n for c in counts for n in c)}


def _context(runs: Sequence[StoredRun], split: Split, folder: Path) -> ReportContext:
    """Return the content of the page besides the evaluation: of all runs together, so it has no training curves."""
    from transfercli.evaluation.report.report import ReportContext

    record, config = runs[0].record, runs[0].config
    return ReportContext(
        experiment=runs[0].folder.experiment,
        run_id=folder.name,
        split=OUT_OF_FOLD,
        config_yaml=dump(config),
        versions=record.versions,
        thumbnails=split.images.read,
        reproduce=[run.record.command for run in runs],
        data={"images": len(split), **{run.folder.run_id: f"{len(run.held_out or ())} images" for run in runs}},
        model={"base": f"{config.model.base}, strategy {config.transfer.strategy or 'of its phases'}"},
    )


def _evaluate_each(series: StoredSeries, request: EvaluateRequest, reporter: Reporter) -> SeriesEvaluation:
    """Evaluate each run as its own command would, and compare the gates with the means."""
    from transfercli.evaluation import gates

    runs = series.completed_runs(reporter)
    active = gates_of(runs[0], request)
    if request.gate_on != "point":
        raise UsageError("--gate-on lower needs one run: the mean over runs has no interval", "leave it out")
    results = []
    for number, run in enumerate(runs, 1):
        reporter.info(f"evaluating {run.label}, {number} of {len(runs)}")
        out = request.out and request.out / run.folder.run_id
        results.append(evaluate_run(replace(request, run=str(run.path), minimums=(), out=out), reporter))
    metrics = spreads_of([_values(result) for result in results])
    means = {name: spread.mean for name, spread in metrics.items()}
    checked = gates.check(active, means, {}, "point")
    return SeriesEvaluation(series.kind, series.name, request.split, series.facts, tuple(results), metrics, checked)


def _values(result: EvaluateResult) -> dict[str, float | None]:
    """Return the honest metrics of a run, and those of each class by names such as `recall[LABEL]`."""
    evaluation = result.evaluation
    names = METRIC_TABLES[result.task].per_class
    classes = {f"{name}[{row['label']}]": row[name] for row in evaluation.per_class for name in names}
    return {**evaluation.honest, **classes}
