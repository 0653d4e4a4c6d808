"""report.html: one offline file that answers, in this order: may it go out, how good, how sure, where does it fail."""

from __future__ import annotations

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
from transfercli.evaluation.report.html import environment, script
from transfercli.evaluation.report.matrix import Matrix, matrix_of
from transfercli.evaluation.report.robustness_page import robustness_page, sample_of
from transfercli.evaluation.report.thumbnails import SMALL_SIDE, address, heatmap_pictures, thumbnails
from transfercli.evaluation.result import Evaluation
from transfercli.redaction import hide_paths_in_yaml

HEADLINES = ("accuracy", "macro_f1", "log_loss", "ece")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContext:
    """What a report says beside the numbers; everything but the names may be left out.

    config_yaml: the resolved config
    versions: {program or library: version}
    history: the lines of metrics.jsonl
    thumbnails: reads uint8 [n, H, W, 3] for indices int64 [n] of the split
    reproduce: command lines
    data: more lines for the data summary, {what: value}
    other: the name of the folder or file that the images come from, where they are not the run's own
    explained: why images were taken for what they were taken for, by their index
    best_epoch: marked in the curves; without it, the epoch of the lowest validation loss
    made_from: fingerprints of the model and the images, for metrics.json alone
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
    other: str = ""
    explained: Mapping[int, Explanation] = field(default_factory=dict)
    best_epoch: int | None = None
    made_from: Mapping[str, str] = field(default_factory=dict)


def render_report(evaluation: Evaluation, predictions: Predictions, context: ReportContext, matrix_png: bytes) -> str:
    """The whole page. `matrix_png` is the confusion matrix, which stands in where a table would be too wide."""
    worst, unsure, right = worst_mistakes(predictions), least_sure(predictions), typically_right(predictions)
    doubts, doubtful = likely_label_errors(predictions)
    matrix = matrix_of(predictions, evaluation.confusion)
    code, policy = script("report.js")
    bins = reliability(predictions.targets, predictions.probabilities)
    trust = evaluation.trust
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            context=context,
            evaluation=evaluation,
            metrics=METRICS,
            script=code,
            policy=policy,
            headlines=tuple(dict.fromkeys((*evaluation.shown, *HEADLINES))),
            failed=[gate for gate in evaluation.gates if not gate["passed"]],
            absent=[row["label"] for row in evaluation.per_class if row["support"] == 0],
            weakest=_weakest(evaluation),
            confused=most_confused(evaluation.confusion, evaluation.labels),
            matrix=matrix,
            matrix_address=address("image/png", matrix_png),
            panels={
                key: charts.training_curves(context.history, key, context.best_epoch) for key in ("loss", "accuracy")
            },
            bins=bins,
            reliability=charts.reliability_chart(bins),
            overconfidence=float(predictions.confidence.mean()) - (evaluation.metrics["accuracy"] or 0.0),
            trust=trust,
            risk=charts.risk_chart(trust["risk_coverage"], trust["abstention"]) if trust else None,
            worst=worst,
            unsure=unsure,
            right=right,
            doubts=doubts,
            doubtful=doubtful,
            mistakes=int((predictions.predicted != predictions.targets).sum()),
            robustness=evaluation.robustness,
            corruptions=evaluation.robustness
            and robustness_page(evaluation.robustness, context.thumbnails, sample_of(right)),
            tta=evaluation.tta,
            known=[(KNOWN_BY[side], count) for side, count in evaluation.known.items()],
            config=hide_paths_in_yaml(context.config_yaml),
            **_pictures(context, matrix, [*worst, *unsure, *right, *(doubt.case for doubt in doubts)]),
        )
    )


def _pictures(context: ReportContext, matrix: Matrix, shown: Sequence[Case]) -> dict[str, Any]:
    """`data:` addresses by index: of the images shown, the small ones behind the matrix, and where they are hot."""
    if context.thumbnails is None:
        return {"pictures": {}, "small": {}, "heats": {}}
    indices = {case.index for case in shown}
    cell_images = {case.index for one in matrix.cell_images for case in one.cases}
    explained = {index: one for index, one in context.explained.items() if index in indices}
    return {
        "pictures": thumbnails(indices, context.thumbnails),
        "small": thumbnails(cell_images, context.thumbnails, SMALL_SIDE),
        "heats": heatmap_pictures(explained, context.thumbnails),
    }


def _weakest(evaluation: Evaluation) -> dict[str, Any] | None:
    """The class of the lowest recall, unless all are right."""
    rows = [row for row in evaluation.per_class if row["recall"] is not None]
    lowest = min(rows, key=lambda row: row["recall"])
    return lowest if lowest["recall"] < 1 else None
