"""Gradients of class scores: Keras has no function of its own for them, so there is one for each backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

Floats = npt.NDArray[np.float32]


def score_gradients(logits: Callable[[Any], Any], x: Any, classes: npt.NDArray[np.integer]) -> Floats:
    """Return the gradients of class scores by a tensor, float32 of the shape of `x`, [N, …].

    logits: function of `x` that returns [N, C], or [N, 1] of a sigmoid head. classes: int [N]. The score of a class is
    its logit, before the softmax; the scores of a sigmoid's two classes are minus and plus its one logit.
    """
    gradient = GRADIENTS[keras.backend.backend()](lambda value: _scores(logits(value), classes), x)
    return ops.convert_to_numpy(gradient)


def _scores(logits: Any, classes: npt.NDArray[np.integer]) -> Any:
    """Return the score of each image's class, [N]."""
    if logits.shape[-1] == 1:
        return logits[:, 0] * ops.convert_to_tensor(2 * classes - 1, logits.dtype)
    return ops.sum(logits * ops.one_hot(classes, logits.shape[-1], dtype=logits.dtype), axis=-1)


def _tensorflow(scores: Callable[[Any], Any], x: Any) -> Any:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(scores(x))
    return tape.gradient(total, x)


def _jax(scores: Callable[[Any], Any], x: Any) -> Any:
    import jax

    return jax.grad(lambda value: scores(value).sum())(x)


GRADIENTS: dict[str, Callable[[Callable[[Any], Any], Any], Any]] = {"tensorflow": _tensorflow, "jax": _jax}
