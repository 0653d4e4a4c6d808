"""Table of losses: over classes, for softmax and for one sigmoid unit, and over labels, each with its own sigmoid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from transfercli.config.schema import LossConfig

_MIN_COMPLEMENT = 1e-7  # of 1 - p: if it is 0, powers of it below 1 have an infinite gradient

# LossConfig -> function of targets [N, C] and logits [N, C].
Terms = Callable[[LossConfig], Callable[[Any, Any], Any]]


@dataclass(frozen=True)
class Loss:
    """Loss by name.

    classes: soft targets, rows that sum to 1, and logits -> losses [N].
    labels: targets from 0 to 1 and logits -> the two terms of each label's loss, [N, L] each: that of its presence,
        which a weight may multiply, and that of its absence.
    """

    classes: Terms
    labels: Terms


def _cross_entropy(config: LossConfig) -> Callable[[Any, Any], Any]:
    """Return categorical cross-entropy."""
    from keras import losses

    return lambda truth, logits: losses.categorical_crossentropy(truth, logits, from_logits=True)


def _focal(config: LossConfig) -> Callable[[Any, Any], Any]:
    """Return focal loss (Lin et al. 2017) over classes: each term of cross-entropy times (1 - p) ** gamma."""
    from keras import ops

    def losses(truth: Any, logits: Any) -> Any:
        log_p = ops.log_softmax(logits)
        complement = ops.maximum(1.0 - ops.exp(log_p), _MIN_COMPLEMENT)
        return -ops.sum(truth * complement**config.gamma * log_p, axis=-1)

    return losses


def _binary_cross_entropy(config: LossConfig) -> Callable[[Any, Any], Any]:
    """Return the terms of binary cross-entropy."""
    from keras import ops

    return lambda truth, logits: (-truth * ops.log_sigmoid(logits), -(1.0 - truth) * ops.log_sigmoid(-logits))


def _binary_focal(config: LossConfig) -> Callable[[Any, Any], Any]:
    """Return the terms of focal loss (Lin et al. 2017) for one sigmoid a label."""
    from keras import ops

    def terms(truth: Any, logits: Any) -> Any:
        present, absent = _binary_cross_entropy(config)(truth, logits)
        p = ops.clip(ops.sigmoid(logits), _MIN_COMPLEMENT, 1.0 - _MIN_COMPLEMENT)
        return present * (1.0 - p) ** config.gamma, absent * p**config.gamma

    return terms


LOSSES: dict[str, Loss] = {
    "cross_entropy": Loss(_cross_entropy, _binary_cross_entropy),
    "focal": Loss(_focal, _binary_focal),
}


def build_loss(units: int, label_smoothing: float, config: LossConfig, *, soft: bool = False) -> Callable[..., Any]:
    """Build the function of targets and logits [N, `units`] over classes that returns losses [N].

    units: of the head; 1 is a sigmoid, which is the softmax of (0, logit) over two classes.
    label_smoothing: the fraction of each target that is spread over all classes (Szegedy et al. 2016).
    soft: targets are float [N, C], rows that sum to 1; otherwise int [N].
    """
    from keras import ops

    row, classes = LOSSES[config.name].classes(config), max(units, 2)

    def loss(targets: Any, logits: Any) -> Any:
        if units == 1:
            logits = ops.reshape(logits, (-1, 1))
            logits = ops.concatenate([ops.zeros_like(logits), logits], axis=-1)
        if soft:
            truth = ops.cast(targets, logits.dtype)
        else:
            truth = ops.one_hot(ops.reshape(targets, (-1,)), classes, dtype=logits.dtype)
        return row(truth * (1.0 - label_smoothing) + label_smoothing / classes, logits)

    return loss


def build_label_loss(
    label_smoothing: float, config: LossConfig, positive_weights: np.ndarray | None = None, known_share: float = 1.0
) -> Callable[..., Any]:
    """Build the function of targets [N, L] and logits [N, L] over labels that returns losses [N].

    A target is from 0 to 1, or negative if it is unknown; unknown labels add nothing. The mean of the losses over all
    training images is that over their known labels.

    label_smoothing: the fraction of each target that is replaced by one half.
    positive_weights: float [L], factor of the loss of a label that an image has (`pos_weight`); 1 if None.
    known_share: fraction of the targets of all training images that are known.
    """
    from keras import ops

    terms = LOSSES[config.name].labels(config)
    weights = 1.0 if positive_weights is None else positive_weights.astype("float32")

    def loss(targets: Any, logits: Any) -> Any:
        targets = ops.cast(targets, logits.dtype)
        known = ops.cast(targets >= 0, logits.dtype)
        truth = ops.maximum(targets, 0.0) * (1.0 - label_smoothing) + label_smoothing / 2
        present, absent = terms(truth, logits)
        return ops.mean(known * (weights * present + absent), axis=-1) / known_share

    return loss


def build_accuracy(units: int, *, soft: bool = False) -> Any:
    """Build the metric `accuracy` for the same targets and logits; the class of a soft target is its largest.

    Rows count equally, unless their weight is 0.
    """
    import keras
    from keras import ops

    def hits(targets: Any, logits: Any) -> Any:
        truth = ops.argmax(targets, axis=-1) if soft else ops.cast(ops.reshape(targets, (-1,)), "int32")
        predicted = ops.reshape(logits, (-1,)) > 0 if units == 1 else ops.argmax(logits, axis=-1)
        return ops.cast(ops.equal(ops.cast(truth, "int32"), ops.cast(predicted, "int32")), "float32")

    class Accuracy(keras.metrics.MeanMetricWrapper):
        def update_state(self, targets: Any, logits: Any, sample_weight: Any = None) -> Any:
            counts = None if sample_weight is None else ops.cast(ops.greater(sample_weight, 0), "float32")
            return super().update_state(targets, logits, counts)

    return Accuracy(hits, name="accuracy")


def build_label_accuracy() -> Any:
    """Build the metric `accuracy` over labels: the fraction of known labels that are answered right at 0.5."""
    import keras
    from keras import ops

    class LabelAccuracy(keras.metrics.Mean):
        def update_state(self, targets: Any, logits: Any, sample_weight: Any = None) -> None:
            targets = ops.cast(targets, logits.dtype)
            right = ops.cast(ops.equal(targets > 0.5, logits > 0), "float32")
            super().update_state(right, sample_weight=ops.cast(targets >= 0, "float32"))

    return LabelAccuracy(name="accuracy")
