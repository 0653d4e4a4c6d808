"""Sets each phase up: cuts the network behind its last frozen layer where that pays, and trains what is above."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from transfercli.data.dataset import Split
from transfercli.errors import ConfigError
from transfercli.models.batchnorm_folding import fold
from transfercli.models.classifier import Classifier
from transfercli.models.surgery import Cut, cut_below, multiplications, whole_base
from transfercli.reporting import Reporter
from transfercli.rows import Rows
from transfercli.training.phases import Phase, Stage
from transfercli.transfer.features.cost_model import Boundary, why_not
from transfercli.transfer.features.features import UNUSABLE, FeatureCache, features_of
from transfercli.transfer.features.prefix import Prefix, checked_prefix
from transfercli.transfer.features.views import Views, rows_an_image, views_of
from transfercli.transfer.probe.stage import SOLVED
from transfercli.transfer.training_inputs import TrainingInputs


class PhaseStages:
    """Phase -> its `Stage`, for a classifier whose layers are frozen as it wants.

    cache: None where it is off. start: the weights before any phase, for those that go back to them.
    """

    keeps = True  # what it computes, measures and finds; a trial does not

    def __init__(
        self, classifier: Classifier, training: TrainingInputs, cache: FeatureCache | None, reporter: Reporter
    ) -> None:
        self.classifier, self.training, self.cache, self.reporter = classifier, training, cache, reporter
        self.start: dict[str, np.ndarray] = {}
        self._why_no_cache = "compute.cache is off"
        self._prefixes: dict[str, Prefix] = {}

    def __call__(self, phase: Phase) -> Stage:
        if phase.kind in SOLVED:
            return SOLVED[phase.kind](self, phase)
        cut = cut_below(self.classifier, phase.unfreeze)
        views = views_of(self.training.augmentation, self.training.augment, phase.epochs)
        if cut is None or self._why_not_cached(cut, phase, views):
            return self.whole()
        return self.above(cut, views)

    def whole(self) -> Stage:
        """The whole model, on images."""
        batches = self.training.make_batches(self.training.training.images, self.training.augment)
        return Stage(self.classifier.model, batches, self.training.validation.images)

    # -- with features

    def _why_not_cached(self, cut: Cut, phase: Phase, views: Views | None) -> str:
        """ "" where the features behind a cut are kept; raises `ConfigError` where they are not and must be."""
        if not multiplications(cut.prefix):
            return "nothing is computed there"
        reason = self._obstacle(self.boundary(cut, phase, views))
        if reason and self.training.required:
            raise ConfigError(
                f"compute.cache is 'require', but the features behind {cut.behind} cannot be cached: {reason}",
                "set compute.cache to auto, or make it possible",
            )
        if reason:
            self.reporter.info(f"features behind {cut.behind} are not cached: {reason}")
        return reason

    def _obstacle(self, boundary: Boundary) -> str:
        if self.cache is None:
            return self._why_no_cache
        if self.training.augment and self.training.augment.soft:
            return "the augmentation mixes images of a batch"
        try:
            return why_not(boundary, self.cache.room(), required=self.training.required)
        except UNUSABLE as error:
            return f"the cache folder cannot be used: {error}"

    def boundary(self, cut: Cut, phase: Phase, views: Views | None) -> Boundary:
        """What keeping the features behind a cut would come to."""
        images, others = len(self.training.training), len(self.training.validation)
        rows = images * rows_an_image(views) + others
        row_bytes = Prefix(cut, self.training.precision).row_bytes
        return Boundary(multiplications(cut.prefix), row_bytes, images + others, rows, phase.epochs)

    def whole_base(self) -> Cut:
        """Cut behind the pooled output of the base."""
        return whole_base(self.classifier)

    def above(self, cut: Cut, views: Views | None) -> Stage:
        """What is above a cut, on the features of all images."""
        prefix, split = self.prefix_of(cut), self.training.training
        told = f"features behind {cut.behind} ({' x '.join(map(str, cut.feature_shape))}, {prefix.precision})"
        self.reporter.info(f"{told} are computed once {f'for each of {views.count} views' if views else 'an image'}")
        source = self.features(split, prefix, views)
        held_out = self.features(self.training.validation, prefix)
        model = upper_model(cut, batchnorm_trains=self.training.batchnorm_trains)
        return Stage(model, self.training.make_batches(source, None), held_out, cut.behind)

    def prefix_of(self, cut: Cut) -> Prefix:
        """In the precision that the whole base bears, which is checked once; it follows the weights of its layers."""
        if cut.key not in self._prefixes:
            self._prefixes[cut.key] = Prefix(cut, self._precision())
        return self._prefixes[cut.key]

    def _precision(self) -> str:
        if self.training.precision == "float32":
            return "float32"
        whole = self.whole_base()
        if whole.key not in self._prefixes:
            images, precision = self.training.training.images, self.training.precision
            self._prefixes[whole.key] = checked_prefix(whole, precision, images, self._difference, self.reporter)
        return self._prefixes[whole.key].precision

    def _difference(self, prefix: Prefix, measure: Callable[[], float]) -> float:
        if self.cache is None:
            return measure()
        try:
            return self.cache.difference(self.training.training, prefix, measure, keep=self.keeps)
        except UNUSABLE:  # features will tell
            return measure()

    def features(self, split: Split, prefix: Prefix, views: Views | None = None) -> Rows:
        """From the cache; in memory where there is none or no room in it, as it may be for a probe."""
        return features_of(split, prefix, self.cache, self.reporter, self._give_up, views)

    def _give_up(self, trouble: str) -> None:
        """Go on without a cache; `ConfigError` where it is required."""
        if self.training.required:
            hint = "set compute.cache_dir, or compute.cache: auto"
            raise ConfigError(f"compute.cache is 'require', but {trouble}", hint)
        self.reporter.warning(f"{trouble}; features stay in memory")
        self.cache, self._why_no_cache = None, trouble


def upper_model(cut: Cut, *, batchnorm_trains: bool = False) -> keras.Model:
    """Features [N, …] -> logits: what is above a cut, with its BatchNorm folded unless it learns its statistics."""
    features = keras.Input(cut.feature_shape, name="features")
    if cut.body is None:
        return keras.Model(features, cut.top(features), name="upper")
    body = cut.body if batchnorm_trains else fold(cut.body)
    return keras.Model(features, cut.top(body(features)), name="upper")
