"""Gain of a merged model over its members, on the same images, with intervals of the paired bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.data.clusters import cluster_indices
from transfercli.evaluation.statistics.bootstrap import RESAMPLES, resample_weights
from transfercli.evaluation.statistics.design_effect import expanded_confidence
from transfercli.evaluation.statistics.intervals import CONFIDENCE, Interval, percentiles

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Gain:
    """Value of a metric before and after merging, their difference, and its 95% interval; None if it is always 0."""

    before: float
    merged: float
    interval: Interval | None

    def as_json(self) -> dict[str, Any]:
        return {
            "before": self.before,
            "merged": self.merged,
            "difference": self.merged - self.before,
            "interval": list(self.interval) if self.interval else None,
        }


def gain(before: Floats, merged: Floats, groups: Sequence[str], seed: int) -> Gain:
    """Return the gain in the mean of a value of each image, such as 1 if it is right, or its log loss.

    before, merged: [N], of the same images. groups: as in `Split`; whole groups are drawn. Classes are no strata: of
    one with few images the differences are often all equal, and would not vary.
    """
    of_image = cluster_indices(groups)
    clusters = None if of_image is None else int(of_image.max()) + 1
    differences = merged - before
    one_stratum = np.zeros(len(differences), np.int64)
    drawn = np.concatenate(
        [
            differences @ weights / weights.sum(axis=0)
            for weights in resample_weights(one_stratum, RESAMPLES, np.random.default_rng(seed), of_image)
        ]
    )
    interval = percentiles(drawn, expanded_confidence(CONFIDENCE, clusters))
    return Gain(float(before.mean()), float(merged.mean()), interval)


def gains(
    before: tuple[Floats, Floats],
    merged: tuple[Floats, Floats],
    groups: Sequence[str],
    seed: int,
) -> dict[str, Any]:
    """Return the gain in `val_accuracy` and `val_loss` as JSON; before, merged: 1 for a right image, and its loss."""
    values = zip(("val_accuracy", "val_loss"), before, merged, strict=True)
    return {name: gain(one, other, groups, seed).as_json() for name, one, other in values}
