"""The result of an evaluation: metrics, intervals, confusion matrix, gates and slices, from predictions."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.config.types import CLASSIFY
from transfercli.data.clusters import count_clusters
from transfercli.errors import DataError
from transfercli.evaluation.gates import Gate, check
from transfercli.evaluation.metric_tables import METRIC_TABLES
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
    honest, honest_intervals: metrics and intervals without the images that the run or an ancestor learnt from, which
        gates are compared with; None for each metric if no image is left
    honest_examples: the number of these images
    known: number of images by how they were learnt from, as in `KnownImages.counts`
    known_gaps: a sentence for each ancestor whose images are not, or not fully, known
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
    honest: dict[str, float | None] = field(default_factory=dict)
    honest_examples: int = 0
    honest_intervals: dict[str, Interval] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)
    groups: int | None = None
    known_gaps: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """The one metric to name if there is room for one."""
        return METRIC_TABLES[CLASSIFY].headline

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
            "honest": dict(self.honest),
            "honest_examples": self.honest_examples,
            "honest_intervals": {name: list(interval) for name, interval in self.honest_intervals.items()},
            "known_gaps": list(self.known_gaps),
        }


def evaluate(
    predictions: Predictions,
    *,
    shown: Sequence[str] = SHOWN,
    gates: Sequence[Gate] = (),
    gate_on: str = "point",
    slices: Mapping[str, Slice] | None = None,
    seed: int = 0,
    left_out: npt.NDArray[np.bool_] | None = None,
) -> Evaluation:
    """Compute all metrics with their intervals, check the gates, and compute the metrics of each slice.

    gate_on: one of `gates.GATE_ON`; slices: by name; left_out: bool [N], images that the honest metrics and the gates
    leave out. Raises DataError if there are no images.
    """
    check_not_empty(predictions)
    labels = predictions.labels
    requested = {*shown, *(gate.metric for gate in gates)}
    whole = honest = _scores(predictions, requested, seed)
    if left_out is not None and left_out.any():
        honest = _scores(predictions.of(np.flatnonzero(~left_out)), requested, seed)
    return Evaluation(
        labels=labels,
        examples=len(predictions),
        metrics=whole.metrics,
        intervals=whole.intervals,
        per_class=whole.per_class,
        confusion=confusion_matrix(predictions.targets, predictions.predicted, len(labels)),
        gates=check(gates, honest.values(PER_CLASS), honest.intervals, gate_on),
        shown=tuple(shown),
        honest=dict(honest.metrics),
        honest_examples=honest.examples,
        honest_intervals={name: honest.intervals[name] for name in METRICS if name in honest.intervals},
        class_metrics={label: _class_metrics(predictions, index) for index, label in enumerate(labels)},
        slices=slice_rows(predictions, slices, metrics_of, partial(_intervals, seed=seed)),
        groups=count_clusters(predictions.groups),
    )


def check_not_empty(predictions: Sized) -> None:
    """Raise DataError if there are no images."""
    if len(predictions) == 0:
        hint = "set data.test or data.validation, or give --data DIR"
        raise DataError("there is no image to evaluate: the split is empty", hint)


@dataclass(frozen=True, slots=True)
class Scores:
    """Metrics of some images; None for each metric, and no interval, if there are none.

    per_class: a row of each class or label
    """

    examples: int
    metrics: dict[str, float | None]
    intervals: dict[str, Interval]
    per_class: list[dict[str, Any]]

    def values(self, of_one: Collection[str]) -> dict[str, float | None]:
        """Return the metrics, and each of `of_one`, keys of `per_class`, by names such as `recall[LABEL]`."""
        return self.metrics | {f"{name}[{row['label']}]": row[name] for row in self.per_class for name in of_one}


def _scores(predictions: Predictions, requested: Collection[str], seed: int) -> Scores:
    if not len(predictions):
        row = dict.fromkeys(PER_CLASS) | {"support": 0}
        return Scores(0, dict.fromkeys(METRICS), {}, [{"label": label} | row for label in predictions.labels])
    bounds = _intervals(predictions, requested, seed)
    return Scores(len(predictions), metrics_of(predictions), bounds, _per_class(predictions))


def _intervals(predictions: Predictions, requested: Collection[str] = (), seed: int = 0) -> dict[str, Interval]:
    targets, probabilities, labels = predictions.targets, predictions.probabilities, predictions.labels
    return intervals(targets, probabilities, labels, requested, seed, predictions.groups, predictions.answers)


def metrics_of(predictions: Predictions) -> dict[str, float | None]:
    """Return a value for each row of METRICS; None if it is not defined."""
    sample = Sample.unweighted(predictions.targets, predictions.probabilities, predictions.answers)
    return {name: plain(row.rule(sample)[0]) for name, row in METRICS.items()}


def _per_class(predictions: Predictions) -> list[dict[str, Any]]:
    counts = count(predictions.targets, predictions.predicted, len(predictions.labels))
    columns = [rule(counts) for rule in PER_CLASS.values()]
    return [
        {"label": label, **{name: plain(v) for name, v in zip(PER_CLASS, values, strict=True)}, "support": int(n)}
        for label, n, *values in zip(predictions.labels, counts.support, *columns, strict=True)
    ]


def _class_metrics(predictions: Predictions, index: int) -> dict[str, float | None]:
    values = one_vs_rest(predictions.targets, predictions.probabilities, index, predictions.answers)
    return {name: plain(value) for name, value in values.items()}


def slice_rows(
    predictions: Any,
    slices: Mapping[str, Slice] | None,
    metrics_of: Callable[[Any], dict[str, float | None]],
    intervals_of: Callable[[Any], dict[str, Interval]],
) -> list[dict[str, Any]]:
    """Return one result for each part of each slice, without intervals of single classes or labels.

    slices: by name. metrics_of, intervals_of: predictions -> their metrics by name, and the intervals of some.
    """
    rows = []
    for name, (value, chosen) in ((name, part) for name, one in (slices or {}).items() for part in one.parts()):
        part = predictions.of(chosen)
        metrics, bounds = metrics_of(part), intervals_of(part)
        rows.append(
            {
                "slice": name,
                "value": value,
                "examples": len(part),
                "groups": count_clusters(part.groups),
                "metrics": metrics,
                "intervals": {metric: list(bounds[metric]) for metric in metrics if metric in bounds},
            }
        )
    return rows


def plain(value: float) -> float | None:
    """Return a value as JSON has it: None if it is not finite."""
    return float(value) if math.isfinite(value) else None
