"""Features of a network for images, with the feature cache, and predictions of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from transfercli.evaluation.statistics.shift_tests import ModelOutputs
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.setup import feature_cache

if TYPE_CHECKING:
    from transfercli.config.schema import ExperimentConfig
    from transfercli.data.dataset import Split
    from transfercli.models.classifier import Classifier
    from transfercli.reporting import Reporter
    from transfercli.rows import Rows


@dataclass(frozen=True, eq=False)
class LayerFeatures:
    """Features of images by all layers that a head reads.

    features: float32 [N, D], the pooled vectors of the layers side by side, not normalised; widths: of the vectors,
    whose sum is D; probabilities: float32 [N, C], calibrated.
    """

    features: np.ndarray
    widths: tuple[int, ...]
    probabilities: np.ndarray


class Network(Protocol):
    """Network whose features are computed: a stored run, or a base without a run."""

    @property
    def reporter(self) -> Reporter:
        """The receiver of progress and warnings."""
        ...

    @property
    def config(self) -> ExperimentConfig:
        """The resolved config: its compute settings, and the geometry of the images."""
        ...

    @property
    def classifier(self) -> Classifier:
        """The classifier; the backend is set up when it is read."""
        ...


class NetworkFeatures:
    """Feature extractor: the base of a network, in float32. Each image passes through the base once.

    Features are stored in the feature cache of the network's config. A float32 training on the same frozen base uses
    the same entries, so its features are not computed again. If the cache is off or cannot be used, they stay in
    memory.
    """

    def __init__(self, network: Network) -> None:
        self.classifier = network.classifier  # sets the backend up, so it comes before every import of Keras
        from transfercli.models.surgery import cut_after_base
        from transfercli.transfer.features.prefix import Prefix

        self.config, self.reporter = network.config, network.reporter
        self.cut = cut_after_base(self.classifier)
        self.prefix = Prefix(self.cut, "float32")
        self.cache = feature_cache(self.config, self.reporter)

    def pooled(self, split: Split) -> Rows:
        """Return the output of the head's poolings, as rows; vectors of several layers are side by side."""
        from transfercli.transfer.features.features import features_of

        return features_of(split, self.prefix, self.cache, self.reporter, self._disable_cache)

    def of_pooled(self, pooled: np.ndarray) -> np.ndarray:
        """Return the features of the base's output, float32 [n, D], of rows of `pooled`."""
        from transfercli.models.pooling import features_of_pooled

        return features_of_pooled(self.classifier.head, pooled)

    def cache_counts(self) -> dict[str, int]:
        """Return the hits and misses of the feature cache; both are 0 if it is off."""
        return {"hits": self.cache.hits, "misses": self.cache.misses} if self.cache else {"hits": 0, "misses": 0}

    def _disable_cache(self, reason: str) -> None:
        self.reporter.warning(f"{reason}; features stay in memory")
        self.cache = None


class ImageFeatures(NetworkFeatures):
    """Feature extractor of a stored run, with its predictions."""

    def __init__(self, run: StoredRun) -> None:
        super().__init__(run)
        self.run = run

    def features(self, split: Split) -> np.ndarray:
        """Return features float32 [N, D]: the head's pooling, averaged over positions if it is flattened."""
        return self._features_of(self.pooled(split))

    def outputs(self, split: Split) -> ModelOutputs:
        """Return features float32 [N, d] and calibrated probabilities float32 [N, C] of the same forward pass."""
        pooled = self.pooled(split)
        return ModelOutputs(self._features_of(pooled), self.probabilities(pooled), split.groups, split.groups)

    def uncached_outputs(self, split: Split, reporter: Reporter) -> ModelOutputs:
        """Return the outputs for images whose pixels are changed as they are read, which no cache may keep."""
        from transfercli.models.forward import forward
        from transfercli.rows import ArrayRows
        from transfercli.transfer.features.features import features_of

        pooled = features_of(split, self.prefix, None, reporter, self._disable_cache)
        values = pooled.read(np.arange(len(pooled)))
        logits = forward(self.cut.top, ArrayRows(values), self.run.config.data.batch_size, reporter, "evaluate")
        return ModelOutputs(self.of_pooled(values), self.run.calibrate(logits), split.groups, split.groups)

    def layers(self, split: Split) -> LayerFeatures:
        """Return the features of all layers that the head reads, and the probabilities, of the same forward pass."""
        pooled = self.pooled(split)
        if self.cut.parts:
            features = pooled.read(np.arange(len(pooled)))
            widths = tuple(part.width for part in self.cut.parts)
        else:
            features = self._features_of(pooled)
            widths = (features.shape[1],)
        return LayerFeatures(features, widths, self.probabilities(pooled))

    def probabilities(self, pooled: Rows) -> np.ndarray:
        """Return calibrated probabilities float32 [N, C] of the output of `pooled`."""
        from transfercli.models.forward import forward

        logits = forward(self.cut.top, pooled, self.run.config.data.batch_size, self.reporter, "evaluate")
        return self.run.calibrate(logits)

    def _features_of(self, pooled: Rows) -> np.ndarray:
        return self.of_pooled(pooled.read(np.arange(len(pooled))))
