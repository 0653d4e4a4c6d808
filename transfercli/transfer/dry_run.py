"""Dry run: phases set up on the features of a single batch, and the estimated cost of the features of all images."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from transfercli.data.dataset import Split
from transfercli.rows import ArrayRows, Indices, Rows, SelectedRows, TransformedRows
from transfercli.training.phases import Phase, PhaseSetup
from transfercli.transfer.features.prefix import Prefix
from transfercli.transfer.features.views import Views, all_views
from transfercli.transfer.phase_builder import PhaseBuilder


@dataclass
class FeatureCost:
    """Cost of one phase's features that are not in the cache yet: seconds to compute them, and bytes in the cache."""

    seconds: float = 0.0
    bytes: int = 0


class DryRunBuilder(PhaseBuilder):
    """`PhaseBuilder` that writes nothing and repeats the features of one batch.

    costs: one per phase, in the order of their set-up.
    """

    dry_run = True

    def __init__(self, *common: Any) -> None:
        super().__init__(*common)
        self.costs: list[FeatureCost] = []
        self._counted: set[tuple[str, int]] = set()
        # Seconds that this set-up of a phase spent on timed batches, to be subtracted; None outside a set-up.
        self._sampling: float | None = None

    def __call__(self, phase: Phase) -> PhaseSetup:
        if self._sampling is not None:  # the phase that a blend sets up
            return super().__call__(phase)
        self.costs.append(FeatureCost())
        started, self._sampling = time.perf_counter(), 0.0
        try:
            return super().__call__(phase)
        finally:
            self.costs[-1].seconds += time.perf_counter() - started - self._sampling
            self._sampling = None

    def features(self, split: Split, prefix: Prefix, views: Views | None = None) -> Rows:
        """Return the features of one batch, repeated; add the cost of all features to the phase's."""
        started, cost = time.perf_counter(), self.costs[-1]
        inputs, rows = all_views(split.images, views), np.arange(min(prefix.batch, len(split)))
        if (prefix.cut.key, id(split)) not in self._counted:
            self._counted.add((prefix.cut.key, id(split)))
            count = self.cache.missing(split, prefix, views) if self.cache else len(split)
            cost.seconds += time.perf_counter() - started
            cost.seconds += _pass_seconds(prefix, inputs, rows, -(-count // prefix.batch))
            cost.bytes += count * prefix.row_bytes if self.cache else 0
        features = repeated(prefix(inputs.read(rows)).astype("float32"), len(split))
        if self._sampling is not None:
            self._sampling += time.perf_counter() - started
        return features


def _pass_seconds(prefix: Prefix, inputs: Rows, rows: np.ndarray, batches: int) -> float:
    """Return the estimated seconds of `batches` batches like `rows`, from the first (it may compile) and the second."""
    if not batches:
        return 0.0
    started = time.perf_counter()
    prefix(inputs.read(rows))
    first_done = time.perf_counter()
    prefix(inputs.read(rows))
    return first_done - started + (batches - 1) * (time.perf_counter() - first_done)


def repeated(features: np.ndarray, count: int) -> Rows:
    """Return `count` rows: a few features, float32 [n, *shape], repeated with noise, so that no two rows are equal."""
    noise_range = np.float32(12**0.5 * features.std())

    def with_noise(rows: np.ndarray, _: Indices) -> np.ndarray:
        # Noise takes about as long as a read from disk, so timed steps include that time.
        noise = np.random.default_rng(0).random(rows.shape, np.float32) - np.float32(0.5)
        return np.asarray(rows + noise_range * noise)

    return TransformedRows(SelectedRows(ArrayRows(features), np.arange(count) % len(features)), with_noise)
