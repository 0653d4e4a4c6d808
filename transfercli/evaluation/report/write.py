"""The files of one evaluation, `evaluation/SPLIT/` of a run."""

from __future__ import annotations

from pathlib import Path

from transfercli.evaluation.multilabel.predictions import LabelPredictions
from transfercli.evaluation.multilabel.result import LabelEvaluation
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.regression.predictions import ValuePredictions
from transfercli.evaluation.regression.result import ValueEvaluation
from transfercli.evaluation.report.multilabel.matrices import answers_png
from transfercli.evaluation.report.multilabel.page import render_label_report
from transfercli.evaluation.report.plots import render_confusion_matrix
from transfercli.evaluation.report.regression.page import render_value_report, scatter_png
from transfercli.evaluation.report.report import ReportContext, render_report
from transfercli.evaluation.result import Evaluation
from transfercli.io import atomic
from transfercli.text import counted


def write_evaluation(
    folder: Path,
    evaluation: Evaluation,
    predictions: Predictions | LabelPredictions | ValuePredictions,
    context: ReportContext,
) -> None:
    """Write metrics.json, predictions.csv, confusion_matrix.png and report.html, each atomically.

    Everything is computed before the first file is replaced, so that a failure leaves the earlier files unchanged.
    evaluation: a `LabelEvaluation` for `LabelPredictions`, a `ValueEvaluation` for `ValuePredictions`, whose picture is
    the scatter of truth and prediction
    """
    picture, report = _pages(evaluation, predictions, context)
    folder.mkdir(parents=True, exist_ok=True)
    predictions.write_csv(folder / "predictions.csv")
    atomic.write_bytes(folder / "confusion_matrix.png", picture)
    atomic.write_bytes(folder / "report.html", report.encode("utf-8", "replace"))
    result = {"split": context.split, **evaluation.as_result(), "made_from": dict(context.made_from)}
    atomic.write_json(folder / "metrics.json", result)


def _pages(
    evaluation: Evaluation, predictions: Predictions | LabelPredictions | ValuePredictions, context: ReportContext
) -> tuple[bytes, str]:
    """Return confusion_matrix.png and report.html."""
    title = f"{context.experiment}/{context.run_id}, {context.split}: "
    if isinstance(predictions, LabelPredictions):
        assert isinstance(evaluation, LabelEvaluation)
        value = evaluation.metrics["map"]
        score = "mAP not defined" if value is None else f"mAP {value:.3f}"
        picture = answers_png(evaluation, predictions, f"{title}{score} on {counted(evaluation.examples, 'image')}")
        return picture, render_label_report(evaluation, predictions, context, picture)
    if isinstance(predictions, ValuePredictions):
        assert isinstance(evaluation, ValueEvaluation)
        text = f"{title}mean error {evaluation.metrics['mae']:.4g} on {counted(evaluation.examples, 'image')}"
        picture = scatter_png(predictions, text)
        return picture, render_value_report(evaluation, predictions, context, picture)
    accuracy = f"{evaluation.metrics['accuracy'] or 0:.1%} of {counted(evaluation.examples, 'image')} right"
    picture = render_confusion_matrix(evaluation.confusion, evaluation.labels, title + accuracy)
    return picture, render_report(evaluation, predictions, context, picture)
