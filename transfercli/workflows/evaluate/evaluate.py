"""`evaluate`: predict a split with the whole model in float32, measure, hold against the gates, write the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.config.loader import dump
from transfercli.data.cache.images import placed
from transfercli.data.dataset import KNOWN_BY
from transfercli.data.image import Geometry
from transfercli.data.ingest import Reading
from transfercli.data.load import load_folder_split, load_recorded_split
from transfercli.data.manifest import read_manifest
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.data.sources.listing import base_folder
from transfercli.data.sources.table_columns import read_columns, table_columns
from transfercli.data.sources.tables import is_table
from transfercli.errors import DataError
from transfercli.reporting import Reporter
from transfercli.runs import record
from transfercli.runs.folder import RunFolder, read_record
from transfercli.runs.lookup import find_named
from transfercli.text import counted
from transfercli.workflows.evaluate.inference import split_logits
from transfercli.workflows.evaluate.provenance import made_from
from transfercli.workflows.evaluate.request import EvaluateRequest, absolute_name, asked_again, evaluation_folder
from transfercli.workflows.evaluate.robustness import beside
from transfercli.workflows.model import TrainedRun, image_size, load_run, load_run_config, read_labels
from transfercli.workflows.train.tracking import track_evaluation

if TYPE_CHECKING:
    from transfercli.config.schema import ExperimentConfig
    from transfercli.data.dataset import Record, Split
    from transfercli.evaluation.gates import Gate
    from transfercli.evaluation.predictions import Predictions
    from transfercli.evaluation.report.report import ReportContext
    from transfercli.evaluation.result import Evaluation
    from transfercli.evaluation.slices import Slice


def evaluate_run(request: EvaluateRequest, reporter: Reporter) -> tuple[dict[str, Any], Evaluation]:
    """The contract's result of `evaluate`, and what it was made from. Gates that fail are in it; they do not raise."""
    from transfercli.evaluation import gates

    run = find_named(request.run, request.runs, reporter)
    loaded, labels = load_run_config(run), read_labels(run)
    with loaded.placing():
        checked = gates.resolve(loaded.config.evaluation.gates, request.minimums, labels)
    split = read_split(run, loaded.config, labels, request.split, reporter, request.data)
    evaluation, _ = evaluate_split(load_run(run, reporter), split, checked, request, reporter)
    return {"run": str(run.path), "split": request.split, **evaluation.as_result()}, evaluation


def evaluate_split(
    trained: TrainedRun, split: Split, gates: Sequence[Gate], request: EvaluateRequest, reporter: Reporter
) -> tuple[Evaluation, Predictions]:
    """Predict, measure and write the files; the targets of the split are indices of the run's labels."""
    from transfercli.evaluation.confidence.trust import Trust, confidence_metrics
    from transfercli.evaluation.explain.attribution import explain
    from transfercli.evaluation.predictions import Predictions
    from transfercli.evaluation.report.write import write_evaluation
    from transfercli.evaluation.result import evaluate

    config, run = trained.config, trained.run
    known = known_images(split, read_manifest(run.dataset), reporter) if request.data else {}
    logits = split_logits(trained, split, reporter)
    assessment = (trained.trust or Trust()).assess(logits)
    predictions = Predictions(split.paths, trained.labels, split.targets, assessment.probabilities.astype("float32"))
    evaluation = evaluate(
        predictions,
        shown=config.evaluation.metrics,
        gates=gates,
        gate_on=request.gate_on,
        slices=read_slices(run, config, split, request.data, reporter),
        seed=config.seed,
    )
    evaluation = replace(
        evaluation,
        trust=confidence_metrics(assessment, logits, split.targets, trained.trust),
        known=known,
        **beside(trained, split, predictions, request, reporter),
    )
    why = explain(trained.classifier, predictions, split.images.read, config.data.batch_size, reporter)
    context = replace(report_context(trained, split, request), explained=why)
    place = evaluation_folder(run, request)
    write_evaluation(place, evaluation, predictions, context)
    track_evaluation(trained, place, evaluation, reporter)
    return evaluation, predictions


def read_split(
    run: RunFolder,
    config: ExperimentConfig,
    labels: Sequence[str],
    split: str,
    reporter: Reporter,
    other: Path | None = None,
) -> Split:
    """A split of the run's own data, or `other` images under the run's labels."""
    if other is None and is_keras(config.data.train):
        from transfercli.training.backend import prepare

        prepare(config.compute, config.seed)  # before its data sets are imported from Keras
    reading = reading_for(config, record.config_folder(run), reporter)
    records = read_manifest(run.dataset)
    if other is not None:
        return load_folder_split(other, split, labels, reading)
    if not any(one.split == split for one in records):
        there = sorted({one.split for one in records if one.split})
        raise DataError(
            f"run {run.label} has no {split} images; it has {', '.join(there)}", "name another --split, or --data DIR"
        )
    return load_recorded_split(records, config.data.train, record.config_folder(run), split, labels, reading)


def reading_for(config: ExperimentConfig, folder: Path, reporter: Reporter) -> Reading:
    """How the images of a run are read; folder: the one that the relative paths of its config start from."""
    geometry = Geometry(*image_size(config), config.data.resize)
    return Reading(geometry, config.data.max_bad_fraction, placed(config.compute, folder), reporter)


def known_images(split: Split, records: Sequence[Record], reporter: Reporter) -> dict[str, int]:
    """How many images, by the hash of their files, the run was trained or its epochs were chosen on; warns of them."""
    found = {}
    for side, effect in KNOWN_BY.items():
        known = {record.sha256 for record in records if record.split == side}
        if count := sum(sha256 in known for sha256 in split.sha256s):
            reporter.warning(
                f"the run {effect} on {count} of these {counted(len(split), 'image')}: the metrics are too optimistic"
            )
            found[side] = count
    return found


def read_slices(
    run: RunFolder, config: ExperimentConfig, split: Split, other: Path | None, reporter: Reporter
) -> dict[str, Slice]:
    """The slices of the config; a column that `other` images have not is left out, and told."""
    from transfercli.evaluation.slices import compute_slices, table_slices

    names = config.evaluation.slices
    asked = table_slices(names)
    rows = read_columns(run.slices) if other is None else {}
    if asked and other is not None and is_table(other):
        place = other.expanduser().absolute()
        rows = table_columns([place], base_folder(str(place), Path("/")), asked)
    if asked and not rows:
        reporter.warning(f"no slices by {', '.join(asked)}: these images have no table with such a column")
        names = [name for name in names if name not in asked]
    columns = {name: [rows.get(path, {}).get(name, "") for path in split.paths] for name in asked}
    return compute_slices(names, split.images.read, split.sizes, columns)


def report_context(trained: TrainedRun, split: Split, request: EvaluateRequest) -> ReportContext:
    from transfercli.evaluation.report.report import ReportContext
    from transfercli.training import history

    facts, run = read_record(trained.run), trained.run
    return ReportContext(
        experiment=run.experiment,
        run_id=run.run_id,
        split=request.split,
        config_yaml=dump(trained.config),
        versions=facts["versions"],
        history=history.read(run.metrics),
        thumbnails=split.images.read,
        reproduce=[facts["command"], asked_again(run, request)],
        data={
            "fingerprint": facts["data"]["fingerprint"],
            **{f"{k} images": v for k, v in facts["data"]["images"].items()},
        },
        other=absolute_name(request.data) if request.data else "",
        best_epoch=facts.get("best_epoch"),
        made_from=made_from(run, zip(split.paths, split.sha256s, strict=True)),
    )
