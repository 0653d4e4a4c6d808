"""What a training is made of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from transfercli.errors import ArtefactError

Unfreeze = int | str

FINE_TUNING = 0.1  # of the head's learning rate, for weights that came pretrained
DECAY = 0.5  # of each stage against the one above (discriminative rates; ULMFiT, Howard & Ruder 2018, has 1/2.6)


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one set of trainable layers.

    unfreeze: none, all, a stage, a layer, or a number of base layers from the top.
    epochs: of gradients, at least 1; 0 for a probe; a blend names those of the phase that it blends.
    learning_rate: its peak.
    kind: train by gradients; or in a single step, probe: solve for the head, blend: choose between the probe and what
    was trained.
    decay: each stage of the base below the uppermost learns at this fraction of the rate of the one above.
    """

    unfreeze: Unfreeze
    epochs: int
    learning_rate: float
    kind: Literal["train", "probe", "blend"] = "train"
    decay: float = 1.0


PROBE = Phase("none", 0, 0.0, "probe")


def recorded_phases(entries: Any) -> list[Phase]:
    """The phases that a run's record holds; `ArtefactError` where they are none."""
    try:
        return TypeAdapter(list[Phase]).validate_json(json.dumps(entries), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise ArtefactError(
            f"the run's record is damaged: phases{list(first['loc'])}: {first['msg']}", "restore the run"
        ) from error
