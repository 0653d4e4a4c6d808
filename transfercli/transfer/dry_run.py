"""`--dry-run`: sets phases up on the features of a single batch, and tells what those of all images would take."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from transfercli.data.dataset import Split
from transfercli.rows import ArrayRows, Indices, Rows, SelectedRows, TransformedRows
from transfercli.training.phases import Phase, Stage
from transfercli.transfer.features.prefix import BATCH, Prefix
from transfercli.transfer.features.views import Views, viewed
from transfercli.transfer.stages import PhaseStages


@dataclass
class FeatureCost:
    """Of one phase: seconds to compute the features that are not in the cache yet, and bytes they take there."""

    seconds: float = 0.0
    bytes: int = 0


class TrialStages(PhaseStages):
    """As `PhaseStages`, but nothing is kept and the features are those of one batch, again and again.

    costs: one a phase, in the order in which they were set up.
    """

    keeps = False

    def __init__(self, *common: Any) -> None:
        super().__init__(*common)
        self.costs: list[FeatureCost] = []
        self._counted: set[tuple[str, int]] = set()
        self._sampling: float | None = None  # seconds spent on samples while a phase is set up

    def __call__(self, phase: Phase) -> Stage:
        if self._sampling is not None:  # a phase within another
            return super().__call__(phase)
        self.costs.append(FeatureCost())
        begun, self._sampling = time.perf_counter(), 0.0
        try:
            return super().__call__(phase)
        finally:
            self.costs[-1].seconds += time.perf_counter() - begun - self._sampling
            self._sampling = None

    def features(self, split: Split, prefix: Prefix, views: Views | None = None) -> Rows:
        begun, cost = time.perf_counter(), self.costs[-1]
        inputs, rows = viewed(split.images, views), np.arange(min(BATCH, len(split)))
        if (prefix.cut.key, id(split)) not in self._counted:
            self._counted.add((prefix.cut.key, id(split)))
            count = self.cache.missing(split, prefix, views) if self.cache else len(split)
            cost.seconds += time.perf_counter() - begun
            cost.seconds += _pass_seconds(prefix, inputs, rows, -(-count // BATCH))
            cost.bytes += count * prefix.row_bytes if self.cache else 0
        features = repeated(prefix(inputs.read(rows)).astype("float32"), len(split))
        if self._sampling is not None:
            self._sampling += time.perf_counter() - begun
        return features


def _pass_seconds(prefix: Prefix, inputs: Rows, rows: np.ndarray, batches: int) -> float:
    """Of so many batches like `rows`, from the first, which may have to compile, and the next."""
    if not batches:
        return 0.0
    begun = time.perf_counter()
    prefix(inputs.read(rows))
    first = time.perf_counter()
    prefix(inputs.read(rows))
    return first - begun + (batches - 1) * (time.perf_counter() - first)


def repeated(features: np.ndarray, count: int) -> Rows:
    """Return `count` rows made from a few, float32 [n, *shape]: these in turn, with noise, so that no two are alike."""
    spread = np.float32(12**0.5 * features.std())

    def with_noise(rows: np.ndarray, _: Indices) -> np.ndarray:
        noise = np.random.default_rng(0).random(rows.shape, np.float32) - np.float32(0.5)  # as quick as a disk
        return np.asarray(rows + spread * noise)

    return TransformedRows(SelectedRows(ArrayRows(features), np.arange(count) % len(features)), with_noise)
