"""The result of an evaluation of one number per image, from predictions.

Intervals are the 2.5% and 97.5% quantiles of 1,000 bootstrap resamples of images, or of whole groups of images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.data.clusters import cluster_indices, count_clusters
from transfercli.evaluation.gates import Gate, check
from transfercli.evaluation.regression.metrics import VALUE_METRICS
from transfercli.evaluation.regression.predictions import ValuePredictions
from transfercli.evaluation.result import Evaluation, check_not_empty
from transfercli.evaluation.slices import Slice
from transfercli.evaluation.statistics.bootstrap import RESAMPLES, resample_weights
from transfercli.evaluation.statistics.design_effect import FEW_GROUPS
from transfercli.evaluation.statistics.intervals import CONFIDENCE, Interval

SHOWN = ("mae", "r2")


@dataclass(frozen=True, slots=True, eq=False)
class ValueEvaluation(Evaluation):
    """The result of `evaluate_values`: an `Evaluation` without classes.

    labels: the name of the number, alone
    metrics: a value for each row of VALUE_METRICS
    per_class, confusion, class_metrics: empty
    """

    @property
    def headline(self) -> str:
        """The one metric to name if there is room for one."""
        return "mae"


def evaluate_values(
    predictions: ValuePredictions,
    *,
    shown: Sequence[str] = SHOWN,
    gates: Sequence[Gate] = (),
    gate_on: str = "point",
    slices: Mapping[str, Slice] | None = None,
    seed: int = 0,
    left_out: npt.NDArray[np.bool_] | None = None,
) -> ValueEvaluation:
    """Compute all metrics with their intervals, check the gates, and compute the metrics of each slice.

    gate_on: one of `gates.GATE_ON`; slices: by name; left_out: bool [N], images that the honest metrics and the gates
    leave out. Raises DataError if there are no images.
    """
    check_not_empty(predictions)
    metrics, intervals = value_metrics_of(predictions), value_intervals(predictions, seed)
    honest, honest_intervals, honest_examples = metrics, intervals, len(predictions)
    if left_out is not None and left_out.any():
        others = predictions.of(np.flatnonzero(~left_out))
        honest, honest_intervals = value_metrics_of(others), value_intervals(others, seed)
        honest_examples = len(others)
    return ValueEvaluation(
        labels=predictions.labels,
        examples=len(predictions),
        metrics=metrics,
        intervals=intervals,
        per_class=[],
        confusion=np.zeros((0, 0), np.int64),
        gates=check(gates, honest, honest_intervals, gate_on),
        shown=tuple(shown),
        honest=dict(honest),
        honest_examples=honest_examples,
        honest_intervals=dict(honest_intervals),
        slices=[row for name, one in (slices or {}).items() for row in _slice_rows(predictions, name, one, seed)],
        groups=count_clusters(predictions.groups),
    )


def value_metrics_of(predictions: ValuePredictions) -> dict[str, float | None]:
    """Return a value for each row of VALUE_METRICS; None if it is not defined, also without images."""
    if not len(predictions):
        return dict.fromkeys(VALUE_METRICS)
    values = {name: row.rule(predictions.targets, predictions.values) for name, row in VALUE_METRICS.items()}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def value_intervals(predictions: ValuePredictions, seed: int = 0) -> dict[str, Interval]:
    """Return the 95% interval of each metric; none with fewer than `FEW_GROUPS` groups of images, or two images."""
    number, of_image = len(predictions), cluster_indices(predictions.groups)
    units = number if of_image is None else int(of_image.max()) + 1
    if units < (2 if of_image is None else FEW_GROUPS):
        return {}
    drawn: dict[str, list[float]] = {name: [] for name in VALUE_METRICS}
    strata = np.zeros(number, np.int64)
    for weights in resample_weights(strata, RESAMPLES, np.random.default_rng(seed), of_image):
        for column in weights.T:
            rows = np.repeat(np.arange(number), column.astype(np.int64))
            for name, row in VALUE_METRICS.items():
                drawn[name].append(row.rule(predictions.targets[rows], predictions.values[rows]))
    tail = (1 - CONFIDENCE) / 2
    found: dict[str, Interval] = {}
    for name, values in drawn.items():
        known = [value for value in values if math.isfinite(value)]
        if known:
            low, high = np.quantile(known, [tail, 1 - tail]).tolist()
            found[name] = (low, high)
    return found


def _slice_rows(predictions: ValuePredictions, name: str, slice_: Slice, seed: int) -> Iterator[dict[str, Any]]:
    """Yield one result for each part of a slice."""
    for value, chosen in slice_.parts():
        part = predictions.of(chosen)
        yield {
            "slice": name,
            "value": value,
            "examples": len(part),
            "groups": count_clusters(part.groups),
            "metrics": value_metrics_of(part),
            "intervals": {metric: list(interval) for metric, interval in value_intervals(part, seed).items()},
        }
