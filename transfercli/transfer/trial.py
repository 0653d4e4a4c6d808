"""`--dry-run`: sets phases up on the features of a single batch, and tells what those of all images would take."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from transfercli.data.batches import Source
from transfercli.data.dataset import Split
from transfercli.models.surgery import Cut
from transfercli.training.phases import Phase
from transfercli.training.stage import Stage
from transfercli.transfer.prefix import BATCH, Prefix
from transfercli.transfer.stages import PhaseStages
from transfercli.transfer.views import ViewedImages, Views


@dataclass
class FeatureCost:
    """Of one phase: seconds to compute the features that are not in the cache yet, and bytes they take there."""

    seconds: float = 0.0
    bytes: int = 0


class TrialStages(PhaseStages):
    """As `PhaseStages`, but nothing is kept and the features are those of one batch, again and again.

    costs: one a phase, in the order in which they were set up.
    """

    def __init__(self, *common: Any) -> None:
        super().__init__(*common)
        self.costs: list[FeatureCost] = []
        self._counted: set[tuple[str, int]] = set()

    def __call__(self, phase: Phase) -> Stage:
        self.costs.append(FeatureCost())
        return super().__call__(phase)

    def prefix_of(self, cut: Cut) -> Prefix:
        begun = time.perf_counter()
        prefix = super().prefix_of(cut)
        if self.costs:
            self.costs[-1].seconds += time.perf_counter() - begun  # of its compilation, where it is the first time
        return prefix

    def features(self, split: Split, prefix: Prefix, views: Views | None = None) -> Source:
        inputs, rows = ViewedImages(split.images, views), np.arange(min(BATCH, len(split)))
        prefix(inputs.read(rows))
        begun = time.perf_counter()
        found = prefix(inputs.read(rows))
        taken = time.perf_counter() - begun
        if (prefix.cut.key, id(split)) not in self._counted:
            self._counted.add((prefix.cut.key, id(split)))
            count = self.cache.missing(split, prefix, views) if self.cache else len(split)
            self.costs[-1].seconds += -(-count // BATCH) * taken
            self.costs[-1].bytes += count * prefix.row_bytes if self.cache else 0
        return Repeated(found.astype("float32"), len(split))


@dataclass(frozen=True)
class Repeated:
    """`count` rows like those of a few: the same, but for noise, so that no two are alike."""

    rows: np.ndarray
    count: int

    def __len__(self) -> int:
        return self.count

    def read(self, indices: np.ndarray) -> np.ndarray:
        chosen = self.rows[np.asarray(indices) % len(self.rows)]
        noise = np.random.default_rng(0).standard_normal(chosen.shape, np.float32)
        return np.asarray(chosen + self.rows.std() * noise)
