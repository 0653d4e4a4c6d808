"""Check of steps in bfloat16: the loss of the first batch against that in float32, on the same weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np

from transfercli.models.forward import computing_in
from transfercli.training.phases import PhaseSetup

# Largest difference of the losses: a share of the loss in float32, and a part that allows for losses near 0.
RELATIVE, ABSOLUTE = 0.05, 0.01


@dataclass(frozen=True)
class LossCheck:
    """Losses of a batch in the precision of the steps and in float32; limit: of their difference."""

    loss: float
    float32: float

    @property
    def limit(self) -> float:
        return RELATIVE * abs(self.float32) + ABSOLUTE

    @property
    def passed(self) -> bool:
        """True if the losses differ by no more than the limit; False if one is not a number."""
        return abs(self.loss - self.float32) <= self.limit

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"limit": self.limit, "passed": self.passed}


def check_loss(setup: PhaseSetup, precision: str) -> LossCheck:
    """Return the losses of the first batch of a phase whose model is compiled; nothing in the model changes."""
    return LossCheck(_loss(setup, precision), _loss(setup, "float32"))


def _loss(setup: PhaseSetup, precision: str) -> float:
    x, y, *weights = setup.batches[0]
    with computing_in(precision, setup.model):
        outputs = setup.model(keras.ops.convert_to_tensor(x), training=False)
        loss = setup.model.compute_loss(x, y, outputs, *weights, training=False)
    return float(np.asarray(keras.ops.convert_to_numpy(loss)))
