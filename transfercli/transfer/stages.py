"""Sets each phase up: cuts the network behind its last frozen layer where that pays, and trains what is above."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import keras
import numpy as np

from transfercli.config.kinds import seconds_of
from transfercli.config.schema import AugmentationConfig
from transfercli.data.augment import Augment
from transfercli.data.batches import ArraySource, Batches, Source
from transfercli.data.dataset import Split
from transfercli.errors import ConfigError
from transfercli.events import Events
from transfercli.models.classifier import Classifier
from transfercli.models.folding import fold
from transfercli.models.forward import forward
from transfercli.models.surgery import Cut, cut_below, multiplications
from transfercli.models.tensors import assign_tensors, read_tensors
from transfercli.training.phases import Phase
from transfercli.training.stage import Stage
from transfercli.training.validation import validation_metrics
from transfercli.transfer.auto import SLOWDOWN, Measured
from transfercli.transfer.blend import choose_blend
from transfercli.transfer.caching import Boundary, why_not
from transfercli.transfer.features import FeatureCache
from transfercli.transfer.prefix import BATCH, Prefix, checked_prefix, computed
from transfercli.transfer.probe import sigmoid_unit, solve
from transfercli.transfer.views import ViewedImages, Views, views_of


@dataclass(frozen=True)
class Training:
    """What all phases have in common.

    make_batches: (source, augment) -> batches in the order of the config's sampling, seed and batch size.
    augmentation, augment: as the config says, and built. class_weights: float [C] or None.
    precision: of features. required: features must be cached wherever something is frozen.
    """

    training: Split
    validation: Split
    make_batches: Callable[[Source, Augment | None], Batches]
    augmentation: AugmentationConfig
    augment: Augment | None
    class_weights: np.ndarray | None
    seed: int
    precision: str = "float32"
    batchnorm_trains: bool = False
    required: bool = False


class PhaseStages:
    """Phase -> its `Stage`, for a classifier whose layers are frozen as it wants. cache: None where it is off."""

    def __init__(self, classifier: Classifier, training: Training, cache: FeatureCache | None, events: Events) -> None:
        self.classifier, self.training, self.cache, self.events = classifier, training, cache, events
        self.start: dict[str, np.ndarray] = {}
        self.measured: Measured | None = None
        self._prefixes: dict[str, Prefix] = {}

    def __call__(self, phase: Phase) -> Stage:
        if phase.kind == "probe":
            return self._probe()
        if phase.kind == "blend":
            return self._blend(phase)
        cut = cut_below(self.classifier, phase.unfreeze)
        views = views_of(self.training.augmentation, self.training.augment, phase.epochs)
        if cut is None or self._why_not_cached(cut, phase, views):
            return self.whole()
        return self._above(cut, views)

    def whole(self) -> Stage:
        """The whole model, on images."""
        batches = self.training.make_batches(self.training.training.images, self.training.augment)
        return Stage(self.classifier.model, batches, self.training.validation.images)

    # -- with features

    def _why_not_cached(self, cut: Cut, phase: Phase, views: Views | None) -> str:
        """ "" where the features behind a cut are kept; raises `ConfigError` where they are not and must be."""
        worth = multiplications(cut.prefix)
        if not worth:
            return "nothing is computed there"
        reason = self._obstacle(self.boundary(cut, phase, views))
        if reason and self.training.required:
            raise ConfigError(
                f"compute.cache is 'require', but the features behind {cut.behind} cannot be cached: {reason}",
                "set compute.cache to auto, or make it possible",
            )
        if reason:
            self.events.info(f"features behind {cut.behind} are not cached: {reason}")
        return reason

    def _obstacle(self, boundary: Boundary) -> str:
        if self.cache is None:
            return "compute.cache is off"
        if self.training.augment and self.training.augment.soft:
            return "the augmentation mixes images of a batch"
        try:
            return why_not(boundary, self.cache.free_bytes(), required=self.training.required)
        except OSError as error:
            return f"the cache folder cannot be used: {error}"

    def boundary(self, cut: Cut, phase: Phase, views: Views | None) -> Boundary:
        """What keeping the features behind a cut would come to."""
        images, others = len(self.training.training), len(self.training.validation)
        rows = images * (views.count if views else 1) + others
        row_bytes = Prefix(cut, self.training.precision).row_bytes
        return Boundary(multiplications(cut.prefix), row_bytes, images + others, rows, phase.epochs)

    def _above(self, cut: Cut, views: Views | None) -> Stage:
        prefix, split = self.prefix_of(cut), self.training.training
        told = f"features behind {cut.behind} ({' x '.join(map(str, cut.feature_shape))}, {prefix.precision})"
        self.events.info(f"{told} are computed once {f'for each of {views.count} views' if views else 'an image'}")
        source = self.features(split, prefix, views)
        held_out = self.features(self.training.validation, prefix)
        model = upper_model(cut, batchnorm_trains=self.training.batchnorm_trains)
        return Stage(model, self.training.make_batches(source, None), held_out, cut.behind)

    def prefix_of(self, cut: Cut) -> Prefix:
        """Checked and compiled once a cut; it follows the weights of its layers."""
        if cut.key not in self._prefixes:
            images = self.training.training.images
            self._prefixes[cut.key] = checked_prefix(cut, self.training.precision, images, self.events)
        return self._prefixes[cut.key]

    def features(self, split: Split, prefix: Prefix, views: Views | None = None) -> Source:
        """From the cache; in memory where there is none, for a probe."""
        if self.cache is not None:
            try:
                return self.cache.of(split, prefix, views)
            except (sqlite3.Error, PermissionError) as error:
                self.events.warn(f"the feature cache cannot be used: {error}")
                self.cache = None
        rows = computed(prefix, ViewedImages(split.images, None), np.arange(len(split)), self.events)
        return ArraySource(np.stack([feature for _, feature in rows]).astype("float32"))

    # -- solved, not trained

    def _probe(self) -> Stage:
        """The head of a frozen base, solved for on the features of the images as they are."""
        training, events = self.training, self.events
        if training.augment:
            events.info("probe: on images as they are, without augmentation")
        stage = self._above(self._whole_base(), None)

        def put_solution() -> None:
            features = stage.batches.source.read(np.arange(len(training.training)))
            found = solve(
                features,
                training.training.targets,
                len(self.classifier.labels),
                class_weights=training.class_weights,
                seed=training.seed,
                events=events,
            )
            logits = self.classifier.head.get_layer("logits")
            logits.set_weights(sigmoid_unit(found) if logits.units == 1 else (found.kernel, found.bias))

        return replace(stage, solve=put_solution)

    def _whole_base(self) -> Cut:
        cut = cut_below(self.classifier, "none")
        assert cut is not None, "behind its last layer a base can always be cut"
        return cut

    def _blend(self, phase: Phase) -> Stage:
        """Choose on the validation images how far to go from the probe to what the phases since have trained."""
        stage = self(replace(phase, kind="train", epochs=phase.epochs or 1))

        def put_best() -> None:
            trained = read_tensors(self.classifier)
            assign_tensors(self.classifier, self.start)
            probe = self._probe()
            assert probe.solve is not None
            probe.solve()
            choose_blend(self.classifier, read_tensors(self.classifier), trained, self._judge(stage), self.events)

        return replace(stage, solve=put_best)

    def _judge(self, stage: Stage) -> Callable[[], float]:
        """Log loss of the validation images."""
        targets, labels = self.training.validation.targets, self.classifier.labels

        def loss() -> float:
            logits = forward(stage.model, stage.validation, stage.batches.batch_size, self.events, "blend")
            return float(validation_metrics(logits, targets, labels)["val_loss"])

        return loss

    # -- for `auto`

    def measure(self, budget: float | str) -> Measured:
        """Time a batch, and count where in the base the work is."""
        training, whole = self.training, self._whole_base()
        begun = time.perf_counter()
        prefix = self.prefix_of(whole)
        first = time.perf_counter()
        prefix(training.training.images.read(np.arange(min(BATCH, len(training.training)))))
        batch_seconds, start_seconds = time.perf_counter() - first, first - begun
        total = multiplications(whole.prefix)
        cuts = {stage: cut_below(self.classifier, stage) for stage in self.classifier.stages}
        shares = {name: 1 - multiplications(cut.prefix) / total if cut else 1.0 for name, cut in cuts.items()}
        images = len(training.training) + len(training.validation)
        batches = -(-images // BATCH)
        self.measured = Measured(
            images_per_class=len(training.training) / len(np.unique(training.training.targets)),
            batches=batches,
            batch_seconds=batch_seconds,
            start_seconds=start_seconds,
            shares=shares,
            slowdown=1.0 if prefix.precision == "float32" else SLOWDOWN,
            budget=seconds_of(budget, start_seconds + batches * batch_seconds),
        )
        return self.measured


def upper_model(cut: Cut, *, batchnorm_trains: bool = False) -> keras.Model:
    """Features [N, …] -> logits: what is above a cut, with its BatchNorm folded unless it learns its statistics."""
    features = keras.Input(cut.feature_shape, name="features")
    if cut.body is None:
        return keras.Model(features, cut.top(features), name="upper")
    body = cut.body if batchnorm_trains else fold(cut.body)
    return keras.Model(features, cut.top(body(features)), name="upper")
