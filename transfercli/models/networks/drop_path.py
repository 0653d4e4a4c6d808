"""Drop-path: training skips a residual branch for some images (stochastic depth; Huang et al. 2016)."""

from __future__ import annotations

from typing import Any

import keras


class DropPath(keras.layers.Dropout):
    """Dropout of a whole branch [N, T, d] for each image; the rest is divided by the probability to stay.

    It works while its block trains, and is the identity in a frozen block, so that features of frozen layers do not
    change from step to step and can be cached.
    """

    def __init__(self, rate: float, noise_shape: tuple[int | None, ...] = (None, 1, 1), **more: Any) -> None:
        super().__init__(rate, noise_shape=noise_shape, **more)

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        return super().call(inputs, training=bool(training) and self.trainable)
