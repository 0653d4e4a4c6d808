"""What a training is made of."""

from __future__ import annotations

from dataclasses import dataclass

Unfreeze = int | str


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one set of trainable layers.

    unfreeze: none, all, a stage, a layer, or a number of base layers from the top; epochs >= 1;
    learning_rate: its peak.
    """

    unfreeze: Unfreeze
    epochs: int
    learning_rate: float
