"""report.html: one offline file that answers, in this order: may it go out, how good, how sure, where does it fail."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.evaluation import charts
from transfercli.evaluation.calibration import reliability
from transfercli.evaluation.cases import Reader, least_sure, most_confused, worst_mistakes
from transfercli.evaluation.metrics import METRICS
from transfercli.evaluation.plots import clipped
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.privacy import hide_paths, hide_paths_in_yaml
from transfercli.evaluation.result import Evaluation
from transfercli.evaluation.thumbnails import address, thumbnails

TEMPLATES = Path(__file__).parent / "templates"
# Up to this many classes the confusion matrix is a table; more are the picture.
TABLE_CLASSES = 16
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
    best_epoch: marked in the curves; without it, the epoch of the lowest validation loss
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
    best_epoch: int | None = None


def render_report(evaluation: Evaluation, predictions: Predictions, context: ReportContext, matrix_png: bytes) -> str:
    """The whole page. `matrix_png` is the confusion matrix, which stands in where a table would be too wide."""
    worst, unsure = worst_mistakes(predictions), least_sure(predictions)
    shown = [case.index for case in (*worst, *unsure)]
    page = environment().get_template("report.html.j2")
    return page.render(
        context=context,
        evaluation=evaluation,
        metrics=METRICS,
        headlines=tuple(dict.fromkeys((*evaluation.shown, *HEADLINES))),
        failed=[gate for gate in evaluation.gates if not gate["passed"]],
        absent=[row["label"] for row in evaluation.per_class if row["support"] == 0],
        weakest=_weakest(evaluation),
        confused=most_confused(evaluation.confusion, evaluation.labels),
        shares=_shares(evaluation) if len(evaluation.labels) <= TABLE_CLASSES else None,
        matrix_address=address("image/png", matrix_png),
        panels={key: charts.curves(context.history, key, context.best_epoch) for key in ("loss", "accuracy")},
        bins=(bins := reliability(predictions.targets, predictions.probabilities)),
        reliability=charts.reliability_chart(bins),
        overconfidence=float(predictions.confidence.mean()) - (evaluation.metrics["accuracy"] or 0.0),
        worst=worst,
        unsure=unsure,
        mistakes=int((predictions.predicted != predictions.targets).sum()),
        pictures=thumbnails(shown, context.thumbnails) if context.thumbnails else {},
        config=hide_paths_in_yaml(context.config_yaml),
    )


def environment() -> Any:
    """Jinja2 for the pages of this folder: what is put in is escaped, and names become one printable line."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "fixed": _fixed,
        "percent": lambda value: f"{100 * value:.1f}%",
        "name": lambda text, length=60: clipped(str(text), length),
        "path": _breakable,
        "line": lambda text, length=1000: clipped(hide_paths(str(text)), length),
        "title": _title,
        "signed": lambda value, digits=3: f"{value:+.{digits}f}".replace("-", "−"),
        "amount": _amount,
    }
    return environment


def _breakable(text: str, length: int = 1000) -> Any:
    """A relative path as one printable, escaped line that may go on in the next after a slash."""
    from markupsafe import Markup

    return Markup("/<wbr>").join(clipped(text, length).split("/"))


def _fixed(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _title(metric: str) -> str:
    """`macro_f1` -> `macro F1`: names of the table as words."""
    words = {
        "f1": "F1",
        "auc": "AUC",
        "roc": "ROC",
        "ece": "ECE",
        "mcc": "MCC",
        "top5": "top-5",
        "cohen": "Cohen's",
        "brier": "Brier",
    }
    return " ".join(words.get(word, word) for word in metric.split("_"))


def _amount(number: int, noun: str) -> str:
    plural = {"class": "classes"}.get(noun, noun + "s")
    return f"{number:,} {noun if number == 1 else plural}"


def _weakest(evaluation: Evaluation) -> dict[str, Any] | None:
    """The class of the lowest recall, unless all are right."""
    rows = [row for row in evaluation.per_class if row["recall"] is not None]
    lowest = min(rows, key=lambda row: row["recall"])
    return lowest if lowest["recall"] < 1 else None


def _shares(evaluation: Evaluation) -> list[list[float]]:
    """The strength of each cell's colour: the square root of its share of the row, so that small mistakes show."""
    matrix = evaluation.confusion
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    return [[round(math.sqrt(share), 3) for share in row] for row in shares.tolist()]
