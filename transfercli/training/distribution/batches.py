"""Batches of a process: its rows of every batch, which all devices together compute.

Order and random draws are those of the whole batch, which is then sliced, so they do not depend on the number of
processes. Keras shares out no rows of a `PyDataset` itself: without this, each row would count once for each process.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from transfercli.data.batching.batches import Batches
from transfercli.training.distribution.processes import processes
from transfercli.training.distribution.start import own_rows


class OwnBatches(keras.utils.PyDataset):
    """The rows of each of `batches` that the devices of this process compute; the number of batches is the same."""

    def __init__(self, batches: Batches) -> None:
        super().__init__(workers=1)
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> tuple[Any, np.ndarray, np.ndarray]:
        x, y, weights = self.batches[index]
        rows = own_rows(len(y))
        return x[rows], y[rows], weights[rows]


def own_batches(batches: Batches) -> Batches | OwnBatches:
    """Return the batches as this process gives them to Keras."""
    return batches if processes().count == 1 else OwnBatches(batches)


class WithoutPadding(keras.callbacks.Callback):
    """Correction of an epoch's mean loss, in which Keras counts the rows of weight 0 of the last batch, too.

    rows: of an epoch, without padding. batch_size: of all batches but the last. padding: rows of weight 0.
    """

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self.rows, self.batch_size, self.padding = batches.rows_per_epoch, batches.batch_size, batches.padding
        self.steps = len(batches)
        self._before: Any = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Keep the mean loss of all batches but the last."""
        if batch == self.steps - 2:
            self._before = logs["loss"]

    def corrected(self, loss: float) -> float:
        """Return the mean over the true rows. loss: the mean that Keras reports."""
        if not self.padding:
            return loss
        before = (self.steps - 1) * self.batch_size
        last = self.rows - before
        mean_before = float(self._before)
        mean_last = (loss * (self.rows + self.padding) - mean_before * before) / (last + self.padding)
        return (mean_before * before + mean_last * last) / self.rows
