"""report.html of an evaluation with several labels per image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from transfercli.evaluation.multilabel.examples import (
    LabelCase,
    LabelMark,
    false,
    false_labels,
    least_certain,
    missed,
    missed_labels,
    right_sets,
)
from transfercli.evaluation.multilabel.metrics import LABEL_METRICS
from transfercli.evaluation.multilabel.predictions import LabelPredictions
from transfercli.evaluation.multilabel.result import LabelEvaluation
from transfercli.evaluation.report import charts
from transfercli.evaluation.report.html import jinja_environment
from transfercli.evaluation.report.multilabel.label_curves import (
    FIRST,
    label_calibration,
    label_curves,
    pooled_reliability,
)
from transfercli.evaluation.report.multilabel.matrices import NOTHING, AnswerViews, answer_views
from transfercli.evaluation.report.report import ReportContext, page_variables
from transfercli.evaluation.report.robustness_page import robustness_page, sample_index
from transfercli.evaluation.report.thumbnails import SMALL_SIDE, data_url, overlay_urls, thumbnails

HEADLINES = ("map", "macro_f1", "micro_f1", "subset_accuracy", "ece")


def render_label_report(
    evaluation: LabelEvaluation, predictions: LabelPredictions, context: ReportContext, answers_png: bytes
) -> str:
    """Return the HTML page. answers_png: the matrices of all labels, shown if tables of them are too large."""
    views = answer_views(evaluation, predictions)
    galleries = {
        "missed": missed_labels(predictions),
        "false": false_labels(predictions),
        "unsure": least_certain(predictions),
        "right": right_sets(predictions),
    }
    bins = pooled_reliability(predictions)
    return (
        jinja_environment()
        .get_template("multilabel.html.j2")
        .render(
            **page_variables(evaluation, context),
            metrics=LABEL_METRICS,
            headlines=tuple(dict.fromkeys((*evaluation.shown, *HEADLINES))),
            noun="label",
            decisive="map",
            weakest=_weakest(evaluation),
            sets=_sets(predictions),
            views=views,
            nothing=NOTHING,
            answers_url=data_url("image/png", answers_png),
            label_charts=label_curves(predictions, evaluation.per_class),
            first=FIRST,
            bins=bins,
            reliability=charts.reliability_chart(bins, ("probability", "share with the label")),
            calibration=list(label_calibration(predictions, evaluation.trust)),
            galleries=galleries,
            mistakes={"missed": int(missed(predictions).sum()), "false": int(false(predictions).sum())},
            trust=evaluation.trust,
            unknown=charts.unknown_chart(scores) if (scores := evaluation.trust.get("out_of_distribution")) else None,
            robustness=evaluation.robustness,
            corruptions=evaluation.robustness
            and robustness_page(evaluation.robustness, context.thumbnails, sample_index(galleries["right"])),
            tta=evaluation.tta,
            **_pictures(context, views, galleries),
        )
    )


def _weakest(evaluation: LabelEvaluation) -> dict[str, Any] | None:
    """Return the label of the lowest average precision, or None if every one is 1 or none is defined."""
    rows = [row for row in evaluation.per_class if row["ap"] is not None]
    lowest = min(rows, key=lambda row: row["ap"], default=None)
    return lowest if lowest is not None and lowest["ap"] < 1 else None


def _sets(predictions: LabelPredictions) -> dict[str, float]:
    """Return facts about label sets: labels of an image, and answered ones, on average; shares of empty sets."""
    has, answered = predictions.targets == 1, predictions.answered
    return {
        "has": float(has.sum(axis=1).mean()),
        "answered": float(answered.sum(axis=1).mean()),
        "without": float((~has.any(axis=1)).mean()),
        "unanswered": float((~answered.any(axis=1)).mean()),
        "unknown": float((~predictions.known).mean()),
    }


def _pictures(
    context: ReportContext, views: AnswerViews, galleries: Mapping[str, Sequence[LabelCase]]
) -> dict[str, Any]:
    """Return `data:` URLs by index: of the images shown, and of the small ones behind numbers; and heat maps.

    heats: by index of the image, a list of (mark, URL of its heat map, URL of its occlusion map or "")
    """
    if context.thumbnails is None:
        return {"pictures": {}, "small": {}, "heats": {}}
    cases = {case.index: case for gallery in galleries.values() for case in gallery}
    behind = {case.index for shown in views.images for case in shown.cases}
    return {
        "pictures": thumbnails(cases, context.thumbnails),
        "small": thumbnails(behind, context.thumbnails, SMALL_SIDE),
        "heats": {index: heats for index, case in cases.items() if (heats := _heats(context, case))},
    }


def _heats(context: ReportContext, case: LabelCase) -> list[tuple[LabelMark, str, str]]:
    """Return the heat maps of the labels of one image; one that no region supports has none."""
    found = {mark: context.explained.get((case.index, mark.label)) for mark in case.marks}
    marks = [mark for mark, explanation in found.items() if explanation is not None and explanation.heat.any()]
    if not marks or context.thumbnails is None:
        return []
    image = context.thumbnails(np.asarray([case.index]))[0]
    return [(mark, *overlay_urls(image, context.explained[case.index, mark.label])) for mark in marks]
