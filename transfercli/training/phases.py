"""Phases of a training, and the stage of the network that each phase trains."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import TypeAdapter, ValidationError

from transfercli.errors import ArtefactError

if TYPE_CHECKING:
    import keras

    from transfercli.data.batching.batches import Batches
    from transfercli.rows import Rows

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


@dataclass(frozen=True)
class Stage:
    """One phase, set up; what it trains are the classifier's own variables.

    model: rows of `batches` and `validation` -> logits, what `fit` trains.
    behind: the layer whose output the rows are; "" where they are images.
    solve: for a phase that is solved, not trained: puts the solution into the model.
    """

    model: keras.Model
    batches: Batches
    validation: Rows
    behind: str = ""
    solve: Callable[[], None] | None = None


Stages = Callable[[Phase], Stage]
