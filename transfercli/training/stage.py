"""What a phase trains on: the whole model on images, or its upper part on the features of its frozen part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras

from transfercli.data.batching.batches import Batches
from transfercli.models.forward import Rows
from transfercli.training.phases import Phase


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
