"""Phases of a training, and the model and data that each phase trains with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import TypeAdapter, ValidationError

from transfercli.errors import ArtefactError

if TYPE_CHECKING:
    import keras
    import numpy as np

    from transfercli.data.batching.batches import Batches
    from transfercli.rows import Rows

Unfreeze = int | str

FINE_TUNING_FACTOR = 0.1  # learning rate of pretrained weights, as a fraction of the head's
# Learning rate of each stage, as a fraction of the stage's above (discriminative; ULMFiT, Howard & Ruder 2018: 1/2.6).
STAGE_DECAY = 0.5


@dataclass(frozen=True)
class Lora:
    """Low-rank adaptation of a phase: the base's kernels are frozen, and only low-rank changes of some of them train.

    rank: of each change; alpha: its scale is alpha / rank, None: 1. layers: ends of the names of the adapted layers,
    None: the usual ones (see `models/trainable/lora.py`).
    """

    rank: int
    alpha: float | None = None
    layers: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Phase:
    """Part of a training with one set of trainable layers.

    unfreeze: none, all, a stage, a layer, or a number of base layers from the top.
    epochs: number of gradient epochs, at least 1; 0 for a probe; for a blend or a refit, those of the trained phase
    before it.
    learning_rate: the peak of its schedule.
    kind: "train": by gradients; "probe": solve for the head in one step; "blend": interpolate in one step between the
    probe's weights and those of the phase before; "refit": solve for the head on training and validation images
    together, unless the phases before show a gain over the probe.
    head: for a probe, a blend and a refit, the row of `HEADS` (`transfer/probe/heads.py`) that is solved, or "".
    decay: learning rate of each stage of the base, as a fraction of the rate of the stage above it.
    lora: None if the layers' own weights train.
    schedule_start: number of epochs of the phase after which its schedule begins; 0, unless the phase went on after its
    last epoch with a new schedule.
    """

    unfreeze: Unfreeze
    epochs: int
    learning_rate: float
    kind: Literal["train", "probe", "blend", "refit"] = "train"
    decay: float = 1.0
    lora: Lora | None = None
    head: str = ""
    schedule_start: int = 0

    @property
    def schedule_epochs(self) -> int:
        """Number of epochs that the schedule of the learning rate is stretched over."""
        return self.epochs - self.schedule_start


PROBE = Phase("none", 0, 0.0, "probe")
REFIT = Phase("none", 0, 0.0, "refit")


def recorded_phases(entries: Any) -> list[Phase]:
    """Return the phases in a run's record. Raises `ArtefactError` if the entries are not phases."""
    try:
        return TypeAdapter(list[Phase]).validate_json(json.dumps(entries), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise ArtefactError(
            f"the run's record is damaged: phases{list(first['loc'])}: {first['msg']}", "restore the run"
        ) from error


@dataclass(frozen=True)
class HeldOut:
    """Predictions of images by weights that did not learn from them: of the validation images, or out of fold.

    logits: float32 [N, C] or [N, 1]; targets: int [N]; groups: name of each image's group, as in `Split`.
    rows: int [N], number of each image among training images, then validation images; None: the validation images.
    """

    logits: np.ndarray
    targets: np.ndarray
    groups: Sequence[str] = ()
    rows: np.ndarray | None = None


@dataclass(frozen=True)
class Solved:
    """Result of a solved phase. facts: more keys for the line of `metrics.jsonl`.

    held_out: the predictions that score it; None for those of the validation images by the solved weights.
    """

    facts: dict[str, Any]
    held_out: HeldOut | None = None


@dataclass(frozen=True)
class PhaseSetup:
    """Model and data of one phase; the model shares its variables with the classifier.

    model: rows of `batches` and `validation` -> logits; `fit` trains it.
    feature_layer: name of the layer whose output the rows are; "" if they are images.
    solve: for a probe, a blend or a refit: computes the weights and assigns them to the model.
    """

    model: keras.Model
    batches: Batches
    validation: Rows
    feature_layer: str = ""
    solve: Callable[[], Solved] | None = None


SetUpPhase = Callable[[Phase], PhaseSetup]
