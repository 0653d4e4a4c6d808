"""report.html of an evaluation: gates, metrics, classes, calibration, mistakes, and the context of the run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transfercli.data.dataset import KNOWN_BY
from transfercli.evaluation.examples import (
    Case,
    Reader,
    least_sure,
    likely_label_errors,
    most_confused,
    typically_right,
    worst_mistakes,
)
from transfercli.evaluation.explain.heatmaps import Explanation
from transfercli.evaluation.metrics.calibration import reliability
from transfercli.evaluation.metrics.registry import METRICS
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.report import charts
from transfercli.evaluation.report.html import jinja_environment, load_script
from transfercli.evaluation.report.matrix import Matrix, matrix_of
from transfercli.evaluation.report.plots import CURVES, curves_of, plot_value
from transfercli.evaluation.report.robustness_page import robustness_page, sample_index
from transfercli.evaluation.report.threshold_curves import threshold_curves
from transfercli.evaluation.report.thumbnails import SMALL_SIDE, data_url, heatmap_pictures, thumbnails
from transfercli.evaluation.result import Evaluation
from transfercli.redaction import hide_paths_in_yaml

HEADLINES = ("accuracy", "macro_f1", "log_loss", "ece")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContext:
    """Content of a report besides the evaluation; all but the names and the split is optional.

    config_yaml: the resolved config
    versions: {program or library: version}
    history: the lines of metrics.jsonl
    thumbnails: reads uint8 [n, H, W, 3] for indices int64 [n] of the split
    reproduce: command lines
    data: additional lines of the data table, {name: value}
    other: name of the folder or file of the images, if they are not the run's own
    explained: heat maps by index of the image; if it may have several labels, by its index and that of the label
    model: additional lines of the model table, {name: value}
    best_epoch: marked in the curves; None for the epoch of the lowest validation loss
    made_from: fingerprints of the model and the images, for metrics.json only
    """

    experiment: str
    run_id: str
    split: str
    config_yaml: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    thumbnails: Reader | None = None
    reproduce: Sequence[str] = ()
    data: Mapping[str, str | int | float] = field(default_factory=dict)
    model: Mapping[str, str | int | float] = field(default_factory=dict)
    other: str = ""
    explained: Mapping[Any, Explanation] = field(default_factory=dict)
    best_epoch: int | None = None
    made_from: Mapping[str, str] = field(default_factory=dict)


def render_report(evaluation: Evaluation, predictions: Predictions, context: ReportContext, matrix_png: bytes) -> str:
    """Return the HTML page. matrix_png: the confusion matrix as PNG, shown if a table of all classes is too large."""
    worst, unsure, right = worst_mistakes(predictions), least_sure(predictions), typically_right(predictions)
    label_errors = likely_label_errors(predictions)
    matrix = matrix_of(predictions, evaluation.confusion)
    bins = reliability(predictions.targets, predictions.probabilities)
    trust = evaluation.trust
    return (
        jinja_environment()
        .get_template("report.html.j2")
        .render(
            **page_variables(evaluation, context),
            metrics=METRICS,
            headlines=tuple(dict.fromkeys((*evaluation.shown, *HEADLINES))),
            noun="class",
            decisive="accuracy",
            weakest=_weakest(evaluation),
            confused=most_confused(evaluation.confusion, evaluation.labels),
            matrix=matrix,
            matrix_url=data_url("image/png", matrix_png),
            thresholds=threshold_curves(predictions),
            bins=bins,
            reliability=charts.reliability_chart(bins),
            overconfidence=sum(bin_.images * (bin_.confidence - bin_.accuracy) for bin_ in bins) / len(predictions),
            trust=trust,
            unknown=charts.unknown_chart(unknown) if (unknown := trust.get("out_of_distribution")) else None,
            conformal=trust.get("conformal"),
            risk=charts.risk_chart(trust["risk_coverage"], trust["abstention"]) if trust else None,
            worst=worst,
            unsure=unsure,
            right=right,
            label_errors=label_errors,
            mistakes=int((predictions.predicted != predictions.targets).sum()),
            robustness=evaluation.robustness,
            corruptions=evaluation.robustness
            and robustness_page(evaluation.robustness, context.thumbnails, sample_index(right)),
            tta=evaluation.tta,
            **_pictures(context, matrix, [*worst, *unsure, *right, *(error.case for error in label_errors.shown)]),
        )
    )


def page_variables(evaluation: Evaluation, context: ReportContext) -> dict[str, Any]:
    """Return the template variables of the sections that every task has."""
    code, policy = load_script("report.js")
    return {
        "context": context,
        "evaluation": evaluation,
        "script": code,
        "policy": policy,
        "failed": [gate for gate in evaluation.gates if not gate["passed"]],
        "absent": [row["label"] for row in evaluation.per_class if row["support"] == 0],
        "panels": _panels(context),
        "curves": CURVES,
        "probe": _probe(context.history),
        "partly_known": evaluation.honest_examples < evaluation.examples,
        "known": [(KNOWN_BY[use], count) for use, count in evaluation.known.items() if use in KNOWN_BY],
        "config": hide_paths_in_yaml(context.config_yaml),
    }


def _panels(context: ReportContext) -> dict[str, Any]:
    """Return the training curves by key; none if the run has no epochs, as a single point says nothing."""
    if all(line["epoch"] == 0 for line in context.history):
        return {}
    curves = curves_of(context.history)
    return {key: charts.training_curves(context.history, key, context.best_epoch) for key in curves}


def _probe(history: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the validation metrics of a probe, and the chart of its strengths if several were tried; None without one.

    The lines may be those of a foreign run: only numbers reach the chart.
    """
    line = next((line for line in history if line["epoch"] == 0), None)
    if line is None:
        return None
    tried, chosen = line.get("strengths"), line.get("strength")
    rows = [row for row in tried if _is_trial(row)] if isinstance(tried, list) else []
    chart = charts.strengths_chart(rows, chosen) if len(rows) > 1 and isinstance(chosen, int | float) else None
    images, adaptation, layers = (line.get(key) for key in ("cross_validated", "adaptation", "layers"))
    return {
        "chart": chart,
        "cross_validated": images if isinstance(images, int) else None,
        "layers": [row for row in layers if _is_layer(row)] if isinstance(layers, list) else [],
        "other_domain": isinstance(adaptation, Mapping) and adaptation.get("case") == "another domain",
        **{key: plot_value(line.get(key)) for key in ("val_loss", "val_accuracy")},
        "map": None if math.isnan(average := plot_value(line.get("val_map"))) else average,
    }


def _is_layer(row: Any) -> bool:
    """Return True for [name, weight, strength]."""
    if not isinstance(row, list | tuple) or len(row) != 3 or not isinstance(row[0], str):
        return False
    return not any(math.isnan(plot_value(value)) for value in row[1:])


def _is_trial(row: Any) -> bool:
    """Return True for [strength above 0, log loss, accuracy]."""
    if not isinstance(row, list | tuple) or len(row) != 3:
        return False
    return not any(math.isnan(plot_value(value)) for value in row) and row[0] > 0


def _pictures(context: ReportContext, matrix: Matrix, shown: Sequence[Case]) -> dict[str, Any]:
    """Return `data:` URLs by index: of the images shown, of the small ones in matrix cells, and of heat maps."""
    if context.thumbnails is None:
        return {"pictures": {}, "small": {}, "heats": {}}
    indices = {case.index for case in shown}
    cell_images = {case.index for cell in matrix.cell_images for case in cell.cases}
    explained = {index: explanation for index, explanation in context.explained.items() if index in indices}
    return {
        "pictures": thumbnails(indices, context.thumbnails),
        "small": thumbnails(cell_images, context.thumbnails, SMALL_SIDE),
        "heats": heatmap_pictures(explained, context.thumbnails),
    }


def _weakest(evaluation: Evaluation) -> dict[str, Any] | None:
    """Return the class of the lowest recall, or None if every recall is 1."""
    rows = [row for row in evaluation.per_class if row["recall"] is not None]
    lowest = min(rows, key=lambda row: row["recall"])
    return lowest if lowest["recall"] < 1 else None
