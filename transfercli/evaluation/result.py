"""From predictions to everything one decides from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.errors import DataError
from transfercli.evaluation.gates import Gate, check
from transfercli.evaluation.metrics.confusion import PER_CLASS, confusion_matrix, count
from transfercli.evaluation.metrics.per_class import one_class
from transfercli.evaluation.metrics.registry import METRICS
from transfercli.evaluation.metrics.weighted import Sample
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.slices import Slice
from transfercli.evaluation.statistics.intervals import Interval, intervals

SHOWN = ("accuracy", "macro_f1")


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What `evaluate` found.

    labels: class names in index order
    metrics: every row of METRICS; None where it is not defined
    intervals: 95%, where there is one; also `recall[LABEL]` (precision, f1)
    per_class: a row a class, also for those without images
    confusion: int64 [C, C], rows = truth
    gates: as `gates.check` gives them
    shown: the metrics to show first
    class_metrics: label -> each row of ONE_CLASS, the class against the rest
    slices: a row a part of each slice, with its own metrics and intervals
    trust: temperature, abstention and strangeness, as `trust.judged` gives them; empty where nothing is known
    robustness: under corruptions, as `robustness.robustness` gives it; None where it was not asked for
    tta: what the mean over several views of the images gains, as `tta.gained` gives it; None where not asked for
    known: how many of other images than the run's own it learnt from all the same, for each of KNOWN_BY where any
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

    @property
    def passed(self) -> bool:
        """Whether every gate was met; true where none is set."""
        return all(gate["passed"] for gate in self.gates)

    def as_result(self) -> dict[str, Any]:
        """The contract's `evaluate` object without `run` and `split`, and after it what goes beyond; plain values."""
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
    """All metrics with their intervals, the gates, and the same for each slice.

    gate_on: a name of `gates.GATE_ON`; slices: for each name, the part that every image is in.
    Raises DataError where there is no image.
    """
    if len(predictions) == 0:
        hint = "set data.test or data.validation, or give --data DIR"
        raise DataError("there is no image to evaluate: the split is empty", hint)
    targets, probabilities, labels = predictions.targets, predictions.probabilities, predictions.labels
    asked = {*shown, *(gate.metric for gate in gates)}
    metrics = _metrics(predictions)
    bounds = intervals(targets, probabilities, labels, asked, seed)
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
        class_metrics={label: _of_class(predictions, number) for number, label in enumerate(labels)},
        slices=[row for name, slice_ in (slices or {}).items() for row in _slice_rows(predictions, name, slice_, seed)],
    )


def _metrics(predictions: Predictions) -> dict[str, float | None]:
    sample = Sample.whole(predictions.targets, predictions.probabilities)
    return {name: _plain(row.rule(sample)[0]) for name, row in METRICS.items()}


def _per_class(predictions: Predictions) -> list[dict[str, Any]]:
    found = count(predictions.targets, predictions.predicted, len(predictions.labels))
    columns = [rule(found) for rule in PER_CLASS.values()]
    return [
        {"label": label, **{name: _plain(v) for name, v in zip(PER_CLASS, values, strict=True)}, "support": int(n)}
        for label, n, *values in zip(predictions.labels, found.support, *columns, strict=True)
    ]


def _of_class(predictions: Predictions, number: int) -> dict[str, float | None]:
    found = one_class(predictions.targets, predictions.probabilities, number)
    return {name: _plain(value) for name, value in found.items()}


def _slice_rows(predictions: Predictions, name: str, slice_: Slice, seed: int) -> Iterator[dict[str, Any]]:
    """One row a part, in its order; intervals of everything but what ranks and single classes."""
    for value, chosen in slice_.parts():
        part = predictions.of(chosen)
        bounds = intervals(part.targets, part.probabilities, part.labels, seed=seed)
        yield {
            "slice": name,
            "value": value,
            "examples": len(part),
            "metrics": _metrics(part),
            "intervals": {metric: list(bounds[metric]) for metric in METRICS if metric in bounds},
        }


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
