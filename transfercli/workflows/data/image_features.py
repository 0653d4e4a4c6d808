"""What a run's network sees in images: features behind its base, from the cache, and what its head says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from transfercli.evaluation.statistics.shift_tests import ModelOutputs
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.setup import feature_cache

if TYPE_CHECKING:
    from transfercli.data.dataset import Split
    from transfercli.rows import Rows


class Sight:
    """The base of a run, in float32: an image goes through it once, also if the head is asked about it, too.

    Rows stand in the feature cache of the run's config, where a training in float32 on the same frozen base put its
    own, and the next look at the same images finds them. Where the cache is off, or of no use, they stay in memory.
    """

    def __init__(self, run: StoredRun) -> None:
        from transfercli.models.surgery import cut_after_base
        from transfercli.transfer.features.prefix import Prefix

        self.run, self.reporter = run, run.reporter
        self.cut = cut_after_base(run.classifier)
        self.prefix = Prefix(self.cut, "float32")
        self.cache = feature_cache(run.config, run.reporter)

    def features(self, split: Split) -> np.ndarray:
        """float32 [N, d]."""
        return self._averaged(self._pooled(split))

    def all_of(self, split: Split) -> ModelOutputs:
        """Features, and the calibrated probabilities float32 [N, C] that the head makes of the same."""
        from transfercli.models.forward import forward

        pooled = self._pooled(split)
        logits = forward(self.cut.top, pooled, self.run.config.data.batch_size, self.reporter, "evaluate")
        return ModelOutputs(self._averaged(pooled), self.run.calibrate(logits))

    def counts(self) -> dict[str, int]:
        """Rows that were found in the cache, and rows that were computed and kept; both 0 where it is off."""
        return {"hits": self.cache.hits, "misses": self.cache.misses} if self.cache else {"hits": 0, "misses": 0}

    def _pooled(self, split: Split) -> Rows:
        from transfercli.transfer.features.features import features_of

        return features_of(split, self.prefix, self.cache, self.reporter, self._give_up)

    def _averaged(self, pooled: Rows) -> np.ndarray:
        from transfercli.models.pooled import channel_means

        return channel_means(self.run.classifier, pooled.read(np.arange(len(pooled))))

    def _give_up(self, trouble: str) -> None:
        self.reporter.warning(f"{trouble}; features stay in memory")
        self.cache = None
