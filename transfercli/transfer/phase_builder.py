"""Set-up of phases: the network is cut after its last frozen layer if that saves time, and the part above it trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import keras
import numpy as np

from transfercli.data.batching.step_augmentation import StepAugmentation, in_step
from transfercli.data.dataset import Split, joined
from transfercli.errors import ConfigError
from transfercli.models.batchnorm_folding import fold
from transfercli.models.classifier import Classifier
from transfercli.models.multiplications import multiplications
from transfercli.models.passes.batch_size import BATCH
from transfercli.models.pooling import POOL
from transfercli.models.surgery import Cut, cut_after_base, cut_below
from transfercli.reporting import Reporter
from transfercli.rows import Rows
from transfercli.text import counted
from transfercli.training.augmented_model import AugmentedModel
from transfercli.training.distribution.agreement import first_text
from transfercli.training.frozen import lowest_trained
from transfercli.training.phases import Phase, PhaseSetup, Unfreeze
from transfercli.transfer.auxiliary_images import with_auxiliary
from transfercli.transfer.features.caching_decisions import CachingDecisions
from transfercli.transfer.features.cost_model import CachingCost, reason_not_to_cache
from transfercli.transfer.features.features import UNUSABLE, FeatureCache, features_of
from transfercli.transfer.features.prefix import Prefix, checked_prefix
from transfercli.transfer.features.views import Views, views_of, views_per_image
from transfercli.transfer.probe.heads import PosedProblem
from transfercli.transfer.probe.solved_phases import SOLVERS
from transfercli.transfer.training_inputs import TrainingInputs


class PhaseBuilder:
    """Function of a phase that returns its `PhaseSetup`, for a classifier whose layers are frozen for that phase.

    cache: None if it is off. start: weights before the first phase, for a blend. aligns: the labelled images may be
    aligned with unlabelled ones of another domain. decisions: to cache features, recorded ones of a resumed run.
    counts: numbers of training and of validation images, if `inputs` are a part of them. parts: number of caches that
    share the features.
    """

    dry_run = False  # True: store no measured difference and report no result

    def __init__(
        self, classifier: Classifier, inputs: TrainingInputs, cache: FeatureCache | None, reporter: Reporter
    ) -> None:
        self.classifier, self.inputs, self.cache, self.reporter = classifier, inputs, cache, reporter
        self.decisions = CachingDecisions()
        self.start: dict[str, np.ndarray] = {}
        self.aligns = True
        self.counts: tuple[int, int] | None = None
        self.parts = 1
        self._reason_without_cache = "compute.cache is off"
        self._cut: tuple[Classifier, Cut] | None = None
        self._prefixes: dict[str, Prefix] = {}
        self._trained: tuple[Unfreeze, int, PhaseSetup] | None = None
        self._pooled: dict[tuple[str, int], Rows] = {}  # of the base as it is until the next trained phase
        self._posed: dict[tuple[tuple[str, ...], int], PosedProblem] = {}  # likewise, with auxiliary images

    def __call__(self, phase: Phase) -> PhaseSetup:
        if phase.kind in SOLVERS:
            return SOLVERS[phase.kind](self, phase)
        self._pooled.clear()
        self._posed.clear()
        self._trained = (phase.unfreeze, phase.epochs, self._setup_of(phase))
        return self._trained[-1]

    def trained(self, phase: Phase) -> PhaseSetup:
        """Return the set-up of the trained phase that a blend or a refit follows, as it is if it was set up last.

        Its model is compiled then.
        """
        if self._trained and self._trained[:2] == (phase.unfreeze, phase.epochs):
            return self._trained[-1]
        return self(replace(phase, kind="train"))

    def _setup_of(self, phase: Phase) -> PhaseSetup:
        cut = cut_below(self.classifier, lowest_trained(self.classifier, phase))
        views = views_of(self.inputs.augmentation, self.inputs.augment, phase.epochs)
        if cut is None or self.reason_not_cached(cut, phase, views):
            return self.on_images()
        return self.on_features(cut, views)

    def on_images(self) -> PhaseSetup:
        """Return the set-up that trains the whole model on images."""
        augment, model = self.inputs.augment and in_step(self.inputs.augment), self.classifier.model
        if isinstance(augment, StepAugmentation):
            model = AugmentedModel(model, augment)
        batches = self.inputs.make_batches(self.inputs.training.images, augment)
        return PhaseSetup(model, batches, self.inputs.validation.images)

    # -- with features

    def reason_not_cached(self, cut: Cut, phase: Phase, views: Views | None) -> str:
        """Return the reason not to cache the features after a cut, or "". Raises `ConfigError` if they are required."""
        if not multiplications(cut.prefix):
            return "nothing is computed there"
        name, cost = f"{cut.last_layer}, {counted(phase.epochs, 'epoch')}", self.caching_cost(cut, phase, views)

        def obstacle() -> str:
            return first_text(self._obstacle(cost))  # of any process that trains

        # If they are required, an obstacle is an error, and it is gone once it has been removed.
        required = self.inputs.required
        reason = obstacle() if required else self.decisions.reason(name, obstacle)
        if reason and required:
            raise ConfigError(
                f"compute.cache is 'require', but the features after {cut.last_layer} cannot be cached: {reason}",
                "set compute.cache to auto, or remove the obstacle",
            )
        if reason:
            self.reporter.info(f"features after {cut.last_layer} are not cached: {reason}")
        return reason

    def _obstacle(self, cost: CachingCost) -> str:
        """Return the reason that prevents caching, or ""."""
        if self.cache is None:
            return self._reason_without_cache
        if self.inputs.augment and self.inputs.augment.soft:
            return "the augmentation mixes images of a batch"
        try:
            available = min(self.cache.max_bytes, self.parts * self.cache.available_bytes())
            return reason_not_to_cache(cost, available, self.decisions.speeds, required=self.inputs.required)
        except UNUSABLE as error:
            return f"the cache folder cannot be used: {error}"

    def caching_cost(self, cut: Cut, phase: Phase, views: Views | None) -> CachingCost:
        """Return the cost of caching the features after a cut."""
        training, validation = self.counts or (len(self.inputs.training), len(self.inputs.validation))
        rows = training * views_per_image(views) + validation
        precision = self.inputs.precision
        row_bytes = Prefix(cut, precision).row_bytes
        return CachingCost(multiplications(cut.prefix), row_bytes, training + validation, rows, phase.epochs, precision)

    def cut_after_base(self) -> Cut:
        """Cut after the base and the head's pooling; it is built once, as that takes longer than solving for a head."""
        if self._cut is None or self._cut[0] is not self.classifier:
            self._cut = self.classifier, cut_after_base(self.classifier)
        return self._cut[1]

    def on_features(self, cut: Cut, views: Views | None) -> PhaseSetup:
        """Return the set-up that trains the part above a cut on the features of all images."""
        prefix, split = self.prefix_of(cut), self.inputs.training
        features = f"features after {cut.last_layer} ({' x '.join(map(str, cut.feature_shape))}, {prefix.precision})"
        times = f"for each of {views.count} views" if views else "per image"
        self.reporter.info(f"{features} are computed once {times}")
        source = self.features(split, prefix, views)
        validation = self.features(self.inputs.validation, prefix)
        model = upper_model(cut, batchnorm_trains=self.inputs.batchnorm_trains)
        return PhaseSetup(model, self.inputs.make_batches(source, None), validation, cut.last_layer)

    def prefix_of(self, cut: Cut) -> Prefix:
        """Return the prefix of a cut, in the precision that was checked once for the whole base.

        A prefix uses the current weights of the classifier's layers.
        """
        if cut.key not in self._prefixes:
            self._prefixes[cut.key] = Prefix(cut, self._precision())
        return self._prefixes[cut.key]

    def _precision(self) -> str:
        if self.inputs.precision == "float32":
            return "float32"
        base_cut = self.cut_after_base()
        if base_cut.key not in self._prefixes:
            first, precision = self._first_images(), self.inputs.precision
            look_up = partial(self._difference, first)
            self._prefixes[base_cut.key] = checked_prefix(base_cut, precision, first.images, look_up, self.reporter)
        return self._prefixes[base_cut.key].precision

    def _first_images(self) -> Split:
        """Return the first training and validation images by path: the same ones whichever fold validates."""
        labelled = joined((self.inputs.training, self.inputs.validation), "labelled")
        first = sorted(range(len(labelled)), key=lambda row: labelled.paths[row])[:BATCH]
        return labelled.at(np.array(first, np.int64))

    def _difference(self, first: Split, prefix: Prefix, measure: Callable[[], float]) -> float:
        """Return the stored difference of a prefix from float32 on the first images, or measure it."""
        if self.cache is None:
            return measure()
        try:
            return self.cache.difference(first, prefix, measure, keep=not self.dry_run)
        except UNUSABLE:  # `features` reports it
            return measure()

    def features(self, split: Split, prefix: Prefix, views: Views | None = None) -> Rows:
        """Return the features of a split from the cache, or in memory if there is none or they do not fit into it.

        Pooled features are looked up once, as a head is solved several times.
        """
        if views is not None or prefix.cut.last_layer != POOL:
            return features_of(split, prefix, self.cache, self.reporter, self._give_up, views)
        key = (prefix.cut.key, id(split))
        if key not in self._pooled:
            self._pooled[key] = features_of(split, prefix, self.cache, self.reporter, self._give_up)
        return self._pooled[key]

    def with_auxiliary(self, posed: PosedProblem, features: Callable[[Split], Rows]) -> PosedProblem:
        """Return a head's problem with the auxiliary images, as far as a gain is shown; the same one in a dry run."""
        if self.dry_run:
            return posed
        key = posed.layers.names, posed.images
        if key not in self._posed:
            inputs = self.inputs if self.aligns else replace(self.inputs, align="none")
            self._posed[key] = with_auxiliary(posed, inputs, features)
        return self._posed[key]

    @property
    def aligned(self) -> bool:
        """A head was aligned with a target of another domain than that of the labelled images."""
        return any(posed.decision is not None and posed.decision.aligned for posed in self._posed.values())

    def _give_up(self, reason: str) -> None:
        """Continue without a cache. Raises `ConfigError` if it is required."""
        if self.inputs.required:
            hint = "set compute.cache_dir, or compute.cache: auto"
            raise ConfigError(f"compute.cache is 'require', but {reason}", hint)
        self.reporter.warning(f"{reason}; features stay in memory")
        self.cache, self._reason_without_cache = None, reason


def upper_model(cut: Cut, *, batchnorm_trains: bool = False) -> keras.Model:
    """Build the part above a cut: features [N, …] -> logits; BatchNorm is folded unless it updates its statistics."""
    features = keras.Input(cut.feature_shape, name="features")
    if cut.body is None:
        return keras.Model(features, cut.top(features), name="upper")
    body = cut.body if batchnorm_trains else fold(cut.body)
    return keras.Model(features, cut.top(body(features)), name="upper")
