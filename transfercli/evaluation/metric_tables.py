"""The metrics of each task: of a whole split, and of one class or label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from transfercli.config.types import Task
from transfercli.evaluation.metrics.confusion import PER_CLASS
from transfercli.evaluation.metrics.registry import METRICS, Bounds
from transfercli.evaluation.multilabel.metrics import LABEL_METRICS, PER_LABEL
from transfercli.evaluation.regression.metrics import VALUE_METRICS


class MetricRow(Protocol):
    """Row of a table of metrics, as gates, lists of runs and the config schema read it."""

    @property
    def name(self) -> str: ...
    @property
    def doc(self) -> str: ...
    @property
    def reference(self) -> str: ...
    @property
    def higher_is_better(self) -> bool: ...
    @property
    def bounds(self) -> Bounds: ...


@dataclass(frozen=True, slots=True)
class MetricTable:
    """Metrics of a task.

    metrics: of a whole split, by name; per_class: of one class or label, as in `recall[cat]`; answers: what the task
    gives an image, in words; headline: the metric to name if there is room for one; shown: the metrics of a summary
    """

    metrics: Mapping[str, MetricRow]
    per_class: Mapping[str, MetricRow]
    answers: str
    headline: str
    shown: tuple[str, ...]

    def row(self, name: str, label: str | None = None) -> MetricRow | None:
        """Return the row of a metric, of one class or label if `label` is given; None if the table has none."""
        return (self.metrics if label is None else self.per_class).get(name)


# A metric of one class has the bounds and the direction of its mean.
_OF_ONE_CLASS = {name: METRICS[f"macro_{name}"] for name in PER_CLASS}
METRIC_TABLES: dict[Task, MetricTable] = {
    "classify": MetricTable(
        METRICS, _OF_ONE_CLASS, "one class per image", "accuracy", ("accuracy", "macro_f1", "log_loss", "ece")
    ),
    "ordinal": MetricTable(
        METRICS,
        _OF_ONE_CLASS,
        "one step of a scale per image",
        "accuracy",
        ("accuracy", "mae", "quadratic_kappa", "log_loss", "ece"),
    ),
    "regression": MetricTable(
        VALUE_METRICS,
        {},
        "one number per image",
        "mae",
        ("mae", "rmse", "r2", "median_error", "pearson", "spearman"),
    ),
    "multilabel": MetricTable(
        LABEL_METRICS,
        PER_LABEL,
        "several labels per image",
        "map",
        ("map", "macro_f1", "micro_f1", "subset_accuracy", "accuracy", "log_loss", "ece"),
    ),
}
# Metrics of any task, for keys of the config whose task is not known when they are read.
ALL_METRICS: dict[str, MetricRow] = {
    **METRICS,
    **{k: row for k, row in LABEL_METRICS.items() if k not in METRICS},
    **{k: row for k, row in VALUE_METRICS.items() if k not in METRICS},
}
