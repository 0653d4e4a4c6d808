"""Exponential moving average (EMA) of the weights, which is validated and kept instead of the training weights.

With `use_ema` an optimizer computes the average (Polyak & Juditsky 1992), and `fit` assigns it to the model when it
ends, here after every epoch. So the training weights are saved before that, and restored before the next epoch. A new
phase starts from the average.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

PREFIX = "raw/"

State = dict[str, np.ndarray]


class TrainingWeights(keras.callbacks.Callback):
    """Callback that saves the training weights before their average replaces them. state: empty without an average."""

    def __init__(self) -> None:
        super().__init__()
        self.state: State = {}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.model.optimizer.use_ema:
            variables = enumerate(self.model.trainable_variables)
            self.state = {f"{PREFIX}{i:05d}": keras.ops.convert_to_numpy(variable) for i, variable in variables}


def restore_training_weights(model: keras.Model, state: State) -> None:
    """Assign the training weights in a checkpoint's state to a model; do nothing if there are none."""
    for i, variable in enumerate(model.trainable_variables):
        value = state.get(f"{PREFIX}{i:05d}")
        if value is not None:
            variable.assign(value)
