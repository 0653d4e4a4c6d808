"""Workflow of `evaluate`: predictions of a split in float32, metrics, gates and the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.config.loader import dump
from transfercli.config.types import CLASSIFY, Task
from transfercli.data.cache.images import cache_root
from transfercli.data.sources.listing import base_folder
from transfercli.data.sources.storage.places import given_place
from transfercli.data.sources.table_columns import read_columns, table_columns
from transfercli.data.sources.table_format import TableFormat
from transfercli.data.sources.tables import is_table
from transfercli.reporting import Reporter
from transfercli.text import counted, duration
from transfercli.workflows.answers import evaluate_answers
from transfercli.workflows.evaluate.provenance import fingerprints_of
from transfercli.workflows.evaluate.request import (
    SPREADSHEET,
    EvaluateRequest,
    check_can_be_written,
    evaluate_command,
    evaluation_folder,
    folder_name,
)
from transfercli.workflows.evaluate.robustness import robustness_and_tta
from transfercli.workflows.evaluate.shards import merged_outputs
from transfercli.workflows.evaluate.tasks import PREDICTIONS
from transfercli.workflows.known_images import known_images, report_known
from transfercli.workflows.regression import refuse_numbers
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.tracking import track_evaluation

if TYPE_CHECKING:
    import numpy as np

    from transfercli.data.dataset import Split
    from transfercli.evaluation.gates import Gate
    from transfercli.evaluation.report.report import ReportContext
    from transfercli.evaluation.result import Evaluation
    from transfercli.evaluation.slices import Slice


@dataclass(frozen=True)
class EvaluateResult:
    """The evaluation of a run on one split. folder: of its files, inside the run folder."""

    run: Path
    split: str
    evaluation: Evaluation
    folder: Path
    task: Task = CLASSIFY

    @property
    def report(self) -> Path:
        """The path of the HTML page."""
        return self.folder / "report.html"

    def as_json(self) -> dict[str, Any]:
        return {"run": str(self.run), "split": self.split, **self.evaluation.as_result()}


def evaluate_run(request: EvaluateRequest, reporter: Reporter) -> EvaluateResult:
    """Evaluate a run and write the files of the evaluation. A failed gate raises no error; the result contains it."""
    run = StoredRun.find(request.run, request.runs, reporter)
    check_can_be_written(run.folder, request)
    for option in (name for name in ("corrupt", "tta") if getattr(request, name)):
        refuse_numbers(run.config.task, f"evaluate --{option}")
    run.accept_bad(request.max_bad)
    gates = gates_of(run, request)
    split = run.other_images(request.data, request.split) if request.data else run.split(request.split)
    outputs = merged_outputs(run, split, request) if request.merged else None
    evaluation, _ = evaluate_split(run, split, gates, request, reporter, outputs)
    return EvaluateResult(run.path, request.split, evaluation, evaluation_folder(run.folder, request), run.config.task)


def gates_of(run: StoredRun, request: EvaluateRequest) -> list[Gate]:
    """Return the gates of the run's config and of the command line, which replace those on the same metric."""
    from transfercli.evaluation import gates

    with run.loaded.placing():
        return gates.resolve(run.config.evaluation.gates, request.minimums, run.labels, run.config.task)


def evaluate_split(
    run: StoredRun,
    split: Split,
    gates: Sequence[Gate],
    request: EvaluateRequest,
    reporter: Reporter,
    outputs: np.ndarray | None = None,
) -> tuple[Evaluation, Any]:
    """Predict a split, whose targets are indices of the run's labels, compute the metrics and write the files.

    outputs: float32 [N, units], of `StoredRun.scored_model`, if they are known. The second value are the predictions,
    `Predictions` or `LabelPredictions`.
    """
    model = run.scored_model  # sets the backend up, so it comes before every import of Keras
    from transfercli.evaluation.explain.attribution import explain
    from transfercli.evaluation.report.write import write_evaluation
    from transfercli.evaluation.statistics.design_effect import FEW_GROUPS
    from transfercli.models.forward import forward

    config = run.config
    known = known_images(run, split, reporter, own=request.data is None)
    if outputs is None:
        outputs = forward(model, split.images, config.data.batch_size, reporter, "evaluate")
    predictions, trust = PREDICTIONS[config.task](run, split, outputs)
    evaluation = evaluate_answers(
        predictions,
        shown=config.evaluation.metrics,
        gates=gates,
        gate_on=request.gate_on,
        slices=read_slices(run, split, request.data),
        seed=config.seed,
        left_out=known.left_out,
    )
    passes = robustness_and_tta(run, split, predictions, request)
    evaluation = replace(evaluation, trust=trust, known=known.counts, known_gaps=known.gaps, **passes)
    report_known(evaluation, reporter)
    if evaluation.groups is not None and evaluation.groups < FEW_GROUPS:
        reporter.warning(
            f"these images are of {counted(evaluation.groups, 'group')} (data.group): with fewer than {FEW_GROUPS},"
            f" {'no metric has an interval' if split.has_numbers else 'only accuracy and recalls have intervals'}"
        )
    heatmaps = explain(run.classifier, predictions, split.images.read, config.data.batch_size, reporter)
    context = replace(report_context(run, split, request), explained=heatmaps)
    folder = evaluation_folder(run.folder, request)
    write_evaluation(folder, evaluation, predictions, context)
    (folder / SPREADSHEET).unlink(missing_ok=True)  # of an earlier evaluation
    if request.spreadsheet:
        predictions.write_spreadsheet(folder / SPREADSHEET)
    if request.out is None:
        track_evaluation(run, folder, evaluation, reporter)
    return evaluation, predictions


def read_slices(run: StoredRun, split: Split, other: Path | None) -> dict[str, Slice]:
    """Return the slices of the config; leave out table columns, with a warning, that `other` images do not have."""
    from transfercli.evaluation.slices import compute_slices, table_slices

    names = run.config.evaluation.slices
    in_table = table_slices(names)
    rows = read_columns(run.folder.slices) if other is None else {}
    if in_table and other is not None and is_table(other):
        path = given_place(other, cache_root(run.config.compute), run.config.compute.cache_max_gb, run.reporter)
        rows = table_columns([path], base_folder(str(path)), in_table, TableFormat.of(run.config.data, run.config.task))
    if in_table and not rows:
        run.reporter.warning(f"no slices by {', '.join(in_table)}: these images have no table with such a column")
        names = [name for name in names if name not in in_table]
    columns = {name: [rows.get(image, {}).get(name, "") for image in split.paths] for name in in_table}
    return compute_slices(names, split.images.read, split.sizes, columns)


def model_facts(run: StoredRun) -> dict[str, str]:
    """Return what a reader asks first about a model: its base, size, best epoch and cost."""
    record, model = run.record, run.classifier.model
    seconds = {name: value for name, value in record.seconds.items() if value is not None}
    best = record.best_epoch
    members = {"merged from": ", ".join(member["run"] for member in record.members)} if record.members else {}
    return {
        "base": f"{run.config.model.base}, strategy {run.config.transfer.strategy or 'of its phases'}",
        **members,
        "parameters": f"{model.count_params():,}",
        "input": f"{' x '.join(map(str, model.input_shape[1:]))} (height, width, channels)",
        "best epoch": "probe (no epochs)" if best == 0 else "not recorded" if best is None else str(best),
        **({"adaptation": adaptation["text"]} if (adaptation := run.record.adaptation) else {}),
        "time of training": ", ".join(f"{name} {duration(value)}" for name, value in seconds.items()) or "not recorded",
    }


def report_context(run: StoredRun, split: Split, request: EvaluateRequest) -> ReportContext:
    """Return the content of the report besides the evaluation."""
    from transfercli.evaluation.report.report import ReportContext
    from transfercli.training import history

    record, folder = run.record, run.folder
    return ReportContext(
        experiment=folder.experiment,
        run_id=folder.run_id,
        split=request.split,
        config_yaml=dump(run.config),
        versions=record.versions,
        history=history.read(folder.metrics),
        thumbnails=split.images.read,
        reproduce=[record.command, evaluate_command(folder, request)],
        data={
            "fingerprint": record.fingerprint,
            **{f"{name} images": count for name, count in (record.image_counts | record.auxiliary_counts).items()},
        },
        model=model_facts(run),
        other=folder_name(request.data) if request.data else "",
        best_epoch=record.best_epoch,
        made_from=fingerprints_of(folder, zip(split.paths, split.sha256s, strict=True)),
    )
