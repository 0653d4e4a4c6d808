"""Table of losses, for softmax and for one sigmoid unit, on integer classes and on soft targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transfercli.config.schema import LossConfig

# LossConfig -> function of soft targets [N, C] (rows sum to 1) and logits [N, C] that returns losses [N].
Row = Callable[[LossConfig], Callable[[Any, Any], Any]]
_MIN_COMPLEMENT = 1e-7  # of 1 - p: if it is 0, powers of it below 1 have an infinite gradient


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


LOSSES: dict[str, Row] = {"cross_entropy": _cross_entropy, "focal": _focal}


def build_loss(units: int, label_smoothing: float, config: LossConfig, *, soft: bool = False) -> Callable[..., Any]:
    """Build the function of targets and logits [N, `units`] that returns losses [N].

    units: of the head; 1 is a sigmoid, which is the softmax of (0, logit) over two classes.
    label_smoothing: the fraction of each target that is spread over all classes (Szegedy et al. 2016).
    soft: targets are float [N, C], rows that sum to 1; otherwise int [N].
    """
    from keras import ops

    row, classes = LOSSES[config.name](config), max(units, 2)

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


def build_accuracy(units: int, *, soft: bool = False) -> Any:
    """Build the metric `accuracy` for the same targets and logits; the class of a soft target is its largest."""
    import keras
    from keras import ops

    def hits(targets: Any, logits: Any) -> Any:
        truth = ops.argmax(targets, axis=-1) if soft else ops.cast(ops.reshape(targets, (-1,)), "int32")
        predicted = ops.reshape(logits, (-1,)) > 0 if units == 1 else ops.argmax(logits, axis=-1)
        return ops.cast(ops.equal(ops.cast(truth, "int32"), ops.cast(predicted, "int32")), "float32")

    return keras.metrics.MeanMetricWrapper(hits, name="accuracy")
