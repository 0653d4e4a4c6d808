"""Table of tasks: number of output units, and the probabilities that their logits stand for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from transfercli.config.types import Task
from transfercli.models.tasks.ordinal import class_log_probabilities

if TYPE_CHECKING:
    import keras

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Output:
    """Output layer of a task.

    units: (number of classes or labels, `model.head.output`) -> number of units of the layer `logits`.
    logits: symbolic outputs of that layer -> the symbolic logits of the classifier.
    probabilities: logits [N, units] -> probabilities float64 [N, C]; C is 2 for one sigmoid unit. The answer to a
        regression is a number, float64 [N, 1].
    layer: symbolic logits [N, units] -> symbolic float32 probabilities [N, C].
    """

    units: Callable[[int, str], int]
    logits: Callable[[Any], Any]
    probabilities: Callable[[npt.NDArray[np.floating]], Array]
    layer: Callable[[Any], Any]


def softmax(logits: npt.NDArray[np.floating]) -> Array:
    """Return float64 probabilities [N, C] of logits [N, C], or [N, 2] of logits [N, 1] of one sigmoid unit."""
    values = logits.astype(np.float64)
    if values.shape[1] == 1:
        values = np.concatenate([np.zeros_like(values), values], axis=1)
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    result: Array = shifted / shifted.sum(axis=1, keepdims=True)
    return result


def sigmoid(logits: npt.NDArray[np.floating]) -> Array:
    """Return float64 probabilities [N, L], each between 0 and 1, of logits [N, L]."""
    from scipy.special import expit

    result: Array = expit(logits.astype(np.float64))
    return result


def _softmax_layer(logits: keras.KerasTensor) -> keras.KerasTensor:
    from keras import layers, ops

    if logits.shape[-1] != 1:
        return layers.Softmax(dtype="float32", name="probabilities")(logits)
    return layers.Concatenate(dtype="float32", name="probabilities")([ops.sigmoid(-logits), ops.sigmoid(logits)])


def _sigmoid_layer(logits: keras.KerasTensor) -> keras.KerasTensor:
    from keras import layers

    return layers.Activation("sigmoid", dtype="float32", name="probabilities")(logits)


def _value_layer(logits: keras.KerasTensor) -> keras.KerasTensor:
    from keras import layers

    return layers.Activation("linear", dtype="float32", name="value")(logits)


def _unchanged(units: keras.KerasTensor) -> keras.KerasTensor:
    return units


OUTPUTS: dict[Task, Output] = {
    "classify": Output(
        lambda classes, output: 1 if output == "sigmoid" else classes, _unchanged, softmax, _softmax_layer
    ),
    "multilabel": Output(lambda classes, _: classes, _unchanged, sigmoid, _sigmoid_layer),
    "regression": Output(
        lambda _classes, _output: 1, _unchanged, lambda values: values.astype(np.float64), _value_layer
    ),
    "ordinal": Output(lambda classes, _: classes - 1, class_log_probabilities, softmax, _softmax_layer),
}
