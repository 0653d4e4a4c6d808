"""Exponential moving average (EMA) of the weights, which is validated and kept instead of the training weights.

The optimizer computes the average after every update (Polyak & Juditsky 1992). After an epoch the average replaces the
training weights, which are restored before the next epoch. A new phase starts from the average.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

PREFIX = "raw/"

State = dict[str, np.ndarray]


def decay_after(updates: Any, limit: float) -> Any:
    """Return the decay of the average in the update after `updates` updates: min(limit, (1 + t) / (10 + t)).

    This is the warm-up of TensorFlow's `ExponentialMovingAverage`: with a constant decay of 0.9999, the average of a
    training of some thousand updates would be the initial weights. The first update sets the average: 0.
    """
    t = keras.ops.cast(updates, "float32")
    return keras.ops.where(t > 0, keras.ops.minimum((1 + t) / (10 + t), limit), 0.0)


def assign_average(model: keras.Model) -> State:
    """Assign the optimizer's average to the weights; return the training weights, or nothing without an average."""
    state: State = {}
    for i, average in enumerate(getattr(model.optimizer, "average", ())):
        variable = model.trainable_variables[i]
        state[f"{PREFIX}{i:05d}"] = keras.ops.convert_to_numpy(variable).copy()
        variable.assign(keras.ops.convert_to_numpy(average))
    return state


def restore_training_weights(model: keras.Model, state: State) -> None:
    """Assign the training weights in a checkpoint's state to a model; do nothing if there are none."""
    for i, variable in enumerate(model.trainable_variables):
        value = state.get(f"{PREFIX}{i:05d}")
        if value is not None:
            variable.assign(value)
