"""Metrics of one number per image, each a row of a table."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.metrics.registry import Bounds

Array = npt.NDArray[np.float64]

_SHARE, _ERROR = Bounds(), Bounds(high=math.inf)


@dataclass(frozen=True, slots=True)
class ValueMetric:
    """A row of the table.

    doc: the meaning; reference: the source of the definition; rule: true and predicted numbers [N] -> the value, NaN if
    it is not defined
    """

    name: str
    doc: str
    reference: str
    rule: Callable[[Array, Array], float]
    higher_is_better: bool = True
    bounds: Bounds = _SHARE


def _r2(truth: Array, predicted: Array) -> float:
    spread = np.square(truth - truth.mean()).sum()
    return float(1 - np.square(truth - predicted).sum() / spread) if spread else math.nan


def _correlation(first: Array, second: Array) -> float:
    if len(first) < 2 or not (np.ptp(first) and np.ptp(second)):
        return math.nan
    return float(np.corrcoef(first, second)[0, 1])


def _rank_correlation(truth: Array, predicted: Array) -> float:
    from scipy.stats import rankdata

    return _correlation(rankdata(truth), rankdata(predicted))


VALUE_METRICS: dict[str, ValueMetric] = {
    row.name: row
    for row in (
        ValueMetric(
            "mae",
            "mean absolute error, in the unit of the number",
            "scikit-learn mean_absolute_error",
            lambda truth, predicted: float(np.abs(truth - predicted).mean()),
            higher_is_better=False,
            bounds=_ERROR,
        ),
        ValueMetric(
            "rmse",
            "root of the mean squared error, in the unit of the number",
            "scikit-learn root_mean_squared_error",
            lambda truth, predicted: math.sqrt(np.square(truth - predicted).mean()),
            higher_is_better=False,
            bounds=_ERROR,
        ),
        ValueMetric(
            "r2",
            "coefficient of determination: 1 is perfect, 0 as good as the mean of these images",
            "scikit-learn r2_score",
            _r2,
            bounds=Bounds(low=-math.inf),
        ),
        ValueMetric(
            "median_error",
            "median absolute error, in the unit of the number",
            "scikit-learn median_absolute_error",
            lambda truth, predicted: float(np.median(np.abs(truth - predicted))),
            higher_is_better=False,
            bounds=_ERROR,
        ),
        ValueMetric(
            "pearson",
            "correlation of truth and prediction",
            "SciPy pearsonr",
            _correlation,
            bounds=Bounds(low=-1.0),
        ),
        ValueMetric(
            "spearman",
            "rank correlation of truth and prediction",
            "SciPy spearmanr",
            _rank_correlation,
            bounds=Bounds(low=-1.0),
        ),
    )
}
