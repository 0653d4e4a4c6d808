"""The result of an evaluation of one number per image, from predictions.

Intervals are the 2.5% and 97.5% quantiles of 1,000 bootstrap resamples of images, or of whole groups of images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from transfercli.config.types import REGRESSION
from transfercli.data.clusters import cluster_indices, count_clusters
from transfercli.evaluation.gates import Gate, check
from transfercli.evaluation.metric_tables import METRIC_TABLES
from transfercli.evaluation.regression.metrics import VALUE_METRICS
from transfercli.evaluation.regression.predictions import ValuePredictions
from transfercli.evaluation.result import Evaluation, Scores, check_not_empty, plain, slice_rows
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
        return METRIC_TABLES[REGRESSION].headline


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
    whole = honest = _scores(predictions, seed)
    if left_out is not None and left_out.any():
        honest = _scores(predictions.of(np.flatnonzero(~left_out)), seed)
    return ValueEvaluation(
        labels=predictions.labels,
        examples=len(predictions),
        metrics=whole.metrics,
        intervals=whole.intervals,
        per_class=whole.per_class,
        confusion=np.zeros((0, 0), np.int64),
        gates=check(gates, honest.metrics, honest.intervals, gate_on),
        shown=tuple(shown),
        honest=dict(honest.metrics),
        honest_examples=honest.examples,
        honest_intervals=dict(honest.intervals),
        slices=slice_rows(predictions, slices, value_metrics_of, partial(value_intervals, seed=seed)),
        groups=count_clusters(predictions.groups),
    )


def _scores(predictions: ValuePredictions, seed: int) -> Scores:
    return Scores(len(predictions), value_metrics_of(predictions), value_intervals(predictions, seed), [])


def value_metrics_of(predictions: ValuePredictions) -> dict[str, float | None]:
    """Return a value for each row of VALUE_METRICS; None if it is not defined, also without images."""
    if not len(predictions):
        return dict.fromkeys(VALUE_METRICS)
    return {name: plain(row.rule(predictions.targets, predictions.values)) for name, row in VALUE_METRICS.items()}


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
