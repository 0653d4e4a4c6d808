"""A moving average of the weights: judged and kept in their place, while they themselves train on.

With `use_ema` an optimizer keeps the average (Polyak & Juditsky 1992), and `fit` puts it into the model when it ends,
which here is after every epoch. So the weights that train on are noted before that, and put back before the next epoch.
Another phase starts from the average.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

PREFIX = "raw/"

State = dict[str, np.ndarray]


class TrainingWeights(keras.callbacks.Callback):
    """Notes the weights of an epoch's end before their average replaces them. state: empty without an average."""

    def __init__(self) -> None:
        super().__init__()
        self.state: State = {}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.model.optimizer.use_ema:
            variables = enumerate(self.model.trainable_variables)
            self.state = {f"{PREFIX}{i:05d}": keras.ops.convert_to_numpy(variable) for i, variable in variables}


def restore(model: keras.Model, state: State) -> None:
    """Put the weights that train on back into a model, where a checkpoint's state has them."""
    for i, variable in enumerate(model.trainable_variables):
        value = state.get(f"{PREFIX}{i:05d}")
        if value is not None:
            variable.assign(value)
