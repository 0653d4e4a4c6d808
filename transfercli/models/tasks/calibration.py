"""Calibration of logits by an affine map, in NumPy and as a layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import keras

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Affine map `logit * scale + offset`, whose softmax or sigmoid gives calibrated probabilities.

    scale, offset: float64 [units], or [1] for the same map of all units. A scale is above 0, so that images keep their
    order.
    """

    scale: Array
    offset: Array

    @classmethod
    def of_temperature(cls, temperature: float) -> Calibration:
        """Return the division of all logits by a temperature."""
        return cls(np.array([1 / temperature]), np.zeros(1))

    @property
    def is_identity(self) -> bool:
        """True if it changes no logit."""
        return bool((self.scale == 1).all() and (self.offset == 0).all())

    def of(self, logits: npt.NDArray[np.floating]) -> Array:
        """Return calibrated logits float64 [N, units] of logits [N, units]."""
        return logits.astype(np.float64) * self.scale + self.offset

    def inverted(self) -> Calibration:
        """Return the map that gives the logits back."""
        return Calibration(1 / self.scale, -self.offset / self.scale)

    def layer(self, logits: keras.KerasTensor, name: str = "calibration") -> keras.KerasTensor:
        """Return symbolic calibrated logits float32 [N, units] of symbolic logits; name: of the layer."""
        from keras import layers

        if self.is_identity:
            return logits
        numbers = [values.item() if len(values) == 1 else values.tolist() for values in (self.scale, self.offset)]
        return layers.Rescaling(*numbers, dtype="float32", name=name)(logits)


IDENTITY = Calibration(np.ones(1), np.zeros(1))
