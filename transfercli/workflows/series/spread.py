"""Mean and spread of a metric over the runs of a series."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Spread:
    """Values of one metric, one a run; None for a run that does not define it."""

    values: tuple[float | None, ...]

    @property
    def defined(self) -> list[float]:
        return [value for value in self.values if value is not None]

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.defined) if self.defined else None

    @property
    def standard_deviation(self) -> float | None:
        """Standard deviation of one run (with n - 1); None with fewer than two values."""
        return statistics.stdev(self.defined) if len(self.defined) > 1 else None

    def as_json(self) -> dict[str, Any]:
        return {
            "mean": self.mean,
            "standard_deviation": self.standard_deviation,
            "min": min(self.defined, default=None),
            "max": max(self.defined, default=None),
            "values": list(self.values),
        }


def spreads_of(runs: Sequence[Mapping[str, float | None]]) -> dict[str, Spread]:
    """Return the spread of each metric of the runs, in the order of the first run."""
    return {name: Spread(tuple(metrics.get(name) for metrics in runs)) for name in (runs[0] if runs else ())}
