"""From predictions to everything one decides from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.errors import DataError
from transfercli.evaluation import counts as per_class
from transfercli.evaluation.counts import confusion_matrix, count
from transfercli.evaluation.gates import Gate, check
from transfercli.evaluation.intervals import Interval, bootstrap, wilson
from transfercli.evaluation.metrics import METRICS, value_of
from transfercli.evaluation.predictions import Predictions

# Metrics that are proportions of images, for which Wilson's interval holds.
PROPORTIONS = ("accuracy", "top5_accuracy")
ALWAYS_BOUNDED = ("accuracy", "macro_f1")


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What `evaluate` found.

    labels: class names in index order
    metrics: every row of METRICS; None where it is not defined
    intervals: 95%, where there is one; also `recall[LABEL]`
    per_class: a row a class, also for those without images
    confusion: int64 [C, C], rows = truth
    gates: as `gates.check` gives them
    shown: the metrics to show first
    """

    labels: tuple[str, ...]
    examples: int
    metrics: dict[str, float | None]
    intervals: dict[str, Interval]
    per_class: list[dict[str, Any]]
    confusion: npt.NDArray[np.int64]
    gates: list[dict[str, Any]]
    shown: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every gate was met; true where none is set."""
        return all(gate["passed"] for gate in self.gates)

    def as_result(self) -> dict[str, Any]:
        """The contract's `evaluate` object without `run` and `split`; plain values that JSON can hold."""
        return {
            "examples": self.examples,
            "metrics": dict(self.metrics),
            "intervals": {name: list(interval) for name, interval in self.intervals.items()},
            "per_class": [dict(row) for row in self.per_class],
            "confusion_matrix": self.confusion.tolist(),
            "gates": [dict(gate) for gate in self.gates],
        }


def evaluate(
    predictions: Predictions, *, shown: Sequence[str] = ALWAYS_BOUNDED, gates: Sequence[Gate] = (), seed: int = 0
) -> Evaluation:
    """All metrics, the gates, and intervals of accuracy, recalls, macro F1 and `shown`.

    Raises DataError where there is no image.
    """
    if len(predictions) == 0:
        hint = "set data.test or data.validation, or give --data DIR"
        raise DataError("there is no image to evaluate: the split is empty", hint)
    targets, probabilities = predictions.targets, predictions.probabilities
    metrics = {name: value_of(name, targets, probabilities) for name in METRICS}
    rows = _per_class(predictions)
    return Evaluation(
        labels=predictions.labels,
        examples=len(predictions),
        metrics=metrics,
        intervals=_intervals(predictions, metrics, shown, seed),
        per_class=rows,
        confusion=confusion_matrix(targets, predictions.predicted, len(predictions.labels)),
        gates=check(gates, metrics, rows),
        shown=tuple(shown),
    )


def _per_class(predictions: Predictions) -> list[dict[str, Any]]:
    found = count(predictions.targets, predictions.predicted, len(predictions.labels))
    columns = [function(found) for function in (per_class.precision, per_class.recall, per_class.f1)]
    return [
        {"label": label, "precision": _plain(p), "recall": _plain(r), "f1": _plain(f), "support": int(n)}
        for label, p, r, f, n in zip(predictions.labels, *columns, found.support, strict=True)
    ]


def _intervals(
    predictions: Predictions, metrics: dict[str, float | None], shown: Sequence[str], seed: int
) -> dict[str, Interval]:
    found = count(predictions.targets, predictions.predicted, len(predictions.labels))
    result: dict[str, Interval | None] = {}
    for name in dict.fromkeys((*ALWAYS_BOUNDED, *shown)):
        if name in PROPORTIONS:
            result[name] = wilson(round((metrics[name] or 0.0) * len(predictions)), len(predictions))
        else:
            result[name] = bootstrap(name, predictions.targets, predictions.probabilities, seed)
    for label, right, images in zip(predictions.labels, found.right, found.support, strict=True):
        result[f"recall[{label}]"] = wilson(int(right), int(images))
    return {name: interval for name, interval in result.items() if interval is not None}


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
