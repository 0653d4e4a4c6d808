"""The result of an evaluation: metrics, intervals, confusion matrix, gates and slices, from predictions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.data.clusters import count_clusters
from transfercli.errors import DataError
from transfercli.evaluation.gates import Gate, check
from transfercli.evaluation.metrics.confusion import PER_CLASS, confusion_matrix, count
from transfercli.evaluation.metrics.per_class import one_vs_rest
from transfercli.evaluation.metrics.registry import METRICS
from transfercli.evaluation.metrics.weighted import Sample
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.slices import Slice
from transfercli.evaluation.statistics.intervals import Interval, intervals

SHOWN = ("accuracy", "macro_f1")


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The result of `evaluate`.

    labels: class names in index order
    metrics: a value for each row of METRICS; None if it is not defined
    intervals: 95% intervals by metric, also `recall[LABEL]` (precision, f1); metrics without one are left out
    per_class: precision, recall, F1 and support of each class, also of classes without images
    confusion: int64 [C, C], rows = truth
    gates: as returned by `gates.check`
    shown: the metrics to show first
    class_metrics: label -> each metric of ONE_VS_REST
    slices: metrics and intervals of each part of each slice
    trust: calibration, abstention and strange images, as returned by `trust.confidence_metrics`; empty if not computed
    robustness: as returned by `score.corruption_summary`; None if not requested
    tta: as returned by `tta.tta_gain`; None if not requested
    known: for images that are not the run's own, the number it was trained or selected on, by key of KNOWN_BY
    groups: number of independent groups of images, an image without a group counting as one; None if no image has one
    """

    labels: tuple[str, ...]
    examples: int
    metrics: dict[str, float | None]
    intervals: dict[str, Interval]
    per_class: list[dict[str, Any]]
    confusion: npt.NDArray[np.int64]
    gates: list[dict[str, Any]]
    shown: tuple[str, ...]
    class_metrics: dict[str, dict[str, float | None]] = field(default_factory=dict)
    slices: list[dict[str, Any]] = field(default_factory=list)
    trust: dict[str, Any] = field(default_factory=dict)
    robustness: dict[str, Any] | None = None
    tta: dict[str, Any] | None = None
    known: dict[str, int] = field(default_factory=dict)
    groups: int | None = None

    @property
    def passed(self) -> bool:
        """True if every gate is met, also if there is no gate."""
        return all(gate["passed"] for gate in self.gates)

    def as_result(self) -> dict[str, Any]:
        """Return the contract's `evaluate` object without `run` and `split`, with additional keys at the end."""
        return {
            "examples": self.examples,
            "metrics": dict(self.metrics),
            "intervals": {name: list(interval) for name, interval in self.intervals.items()},
            "per_class": [dict(row) for row in self.per_class],
            "confusion_matrix": self.confusion.tolist(),
            "gates": [dict(gate) for gate in self.gates],
            "class_metrics": {label: dict(values) for label, values in self.class_metrics.items()},
            "slices": [dict(row) for row in self.slices],
            **self.trust,
            "robustness": self.robustness,
            "tta": self.tta,
            "known": dict(self.known),
            "groups": self.groups,
        }


def evaluate(
    predictions: Predictions,
    *,
    shown: Sequence[str] = SHOWN,
    gates: Sequence[Gate] = (),
    gate_on: str = "point",
    slices: Mapping[str, Slice] | None = None,
    seed: int = 0,
) -> Evaluation:
    """Compute all metrics with their intervals, check the gates, and compute the metrics of each slice.

    gate_on: one of `gates.GATE_ON`; slices: by name. Raises DataError if there are no images.
    """
    if len(predictions) == 0:
        hint = "set data.test or data.validation, or give --data DIR"
        raise DataError("there is no image to evaluate: the split is empty", hint)
    targets, probabilities, labels = predictions.targets, predictions.probabilities, predictions.labels
    requested = {*shown, *(gate.metric for gate in gates)}
    metrics = _metrics(predictions)
    bounds = intervals(targets, probabilities, labels, requested, seed, predictions.groups)
    rows = _per_class(predictions)
    values = metrics | {f"{name}[{row['label']}]": row[name] for row in rows for name in PER_CLASS}
    return Evaluation(
        labels=labels,
        examples=len(predictions),
        metrics=metrics,
        intervals=bounds,
        per_class=rows,
        confusion=confusion_matrix(targets, predictions.predicted, len(labels)),
        gates=check(gates, values, bounds, gate_on),
        shown=tuple(shown),
        class_metrics={label: _class_metrics(predictions, index) for index, label in enumerate(labels)},
        slices=[row for name, slice_ in (slices or {}).items() for row in _slice_rows(predictions, name, slice_, seed)],
        groups=count_clusters(predictions.groups),
    )


def _metrics(predictions: Predictions) -> dict[str, float | None]:
    sample = Sample.unweighted(predictions.targets, predictions.probabilities)
    return {name: _plain(row.rule(sample)[0]) for name, row in METRICS.items()}


def _per_class(predictions: Predictions) -> list[dict[str, Any]]:
    counts = count(predictions.targets, predictions.predicted, len(predictions.labels))
    columns = [rule(counts) for rule in PER_CLASS.values()]
    return [
        {"label": label, **{name: _plain(v) for name, v in zip(PER_CLASS, values, strict=True)}, "support": int(n)}
        for label, n, *values in zip(predictions.labels, counts.support, *columns, strict=True)
    ]


def _class_metrics(predictions: Predictions, index: int) -> dict[str, float | None]:
    values = one_vs_rest(predictions.targets, predictions.probabilities, index)
    return {name: _plain(value) for name, value in values.items()}


def _slice_rows(predictions: Predictions, name: str, slice_: Slice, seed: int) -> Iterator[dict[str, Any]]:
    """Yield one result for each part of a slice, without intervals of single classes."""
    for value, chosen in slice_.parts():
        part = predictions.of(chosen)
        bounds = intervals(part.targets, part.probabilities, part.labels, seed=seed, groups=part.groups)
        yield {
            "slice": name,
            "value": value,
            "examples": len(part),
            "groups": count_clusters(part.groups),
            "metrics": _metrics(part),
            "intervals": {metric: list(bounds[metric]) for metric in METRICS if metric in bounds},
        }


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
