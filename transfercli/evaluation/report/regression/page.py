"""Page and picture of an evaluation of one number per image."""

from __future__ import annotations

from typing import Any

import numpy as np

from transfercli.evaluation.regression.metrics import VALUE_METRICS
from transfercli.evaluation.regression.predictions import ValuePredictions
from transfercli.evaluation.regression.result import ValueEvaluation
from transfercli.evaluation.report.html import jinja_environment
from transfercli.evaluation.report.plots import QUIET, VALIDATION, clipped, figure_png, plot_style
from transfercli.evaluation.report.report import ReportContext, page_variables
from transfercli.evaluation.report.thumbnails import data_url, thumbnails

WORST = 24  # images with the largest errors that a page shows
BINS = 30


def scatter_png(predictions: ValuePredictions, title: str) -> bytes:
    """Return a picture of truth and prediction, and of the errors, as PNG bytes."""
    from matplotlib.figure import Figure

    name = clipped(predictions.quantity)
    with plot_style():
        figure = Figure((9.0, 4.2), layout="constrained")
        points, errors = figure.subplots(1, 2)
        figure.suptitle(title)
        ends = [
            min(predictions.targets.min(), predictions.values.min()),
            max(predictions.targets.max(), predictions.values.max()),
        ]
        points.plot(ends, ends, color=QUIET, linewidth=1)
        points.scatter(predictions.targets, predictions.values, s=9, alpha=0.5, color=VALIDATION, linewidths=0)
        points.set_xlabel(f"{name}, true")
        points.set_ylabel(f"{name}, predicted")
        errors.hist(predictions.errors, bins=BINS, color=VALIDATION)
        errors.axvline(0, color=QUIET, linewidth=1)
        errors.set_xlabel("predicted - true")
        errors.set_ylabel("images")
        return figure_png(figure)


def render_value_report(
    evaluation: ValueEvaluation, predictions: ValuePredictions, context: ReportContext, picture: bytes
) -> str:
    """Return the HTML page. picture: as `scatter_png` returns it."""
    order = np.argsort(-np.abs(predictions.errors), kind="stable")[:WORST].tolist()
    worst: list[dict[str, Any]] = [
        {
            "index": index,
            "path": predictions.paths[index],
            "truth": f"{predictions.targets[index]:.6g}",
            "predicted": f"{predictions.values[index]:.6g}",
        }
        for index in order
    ]
    return (
        jinja_environment()
        .get_template("regression.html.j2")
        .render(
            **page_variables(evaluation, context),
            metrics=VALUE_METRICS,
            quantity=predictions.quantity,
            picture_url=data_url("image/png", picture),
            worst=worst,
            pictures=thumbnails(order, context.thumbnails) if context.thumbnails is not None else {},
        )
    )
