"""Batches of a process: its rows of every batch, which all devices together compute.

Order and random draws are those of the whole batch, so they do not depend on the number of processes. A process reads
its own rows only, unless the host augments images, in whole batches. Keras shares out no rows of a `PyDataset` itself:
without this, each row would count once for each process.
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
        # Another thread may read the batches, and Keras keeps the distribution for each thread.
        self._distribution = keras.distribution.distribution()

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> tuple[Any, np.ndarray, np.ndarray]:
        return self.batches.part(index, own_rows(self.batches.size_of(index), self._distribution))


def own_batches(batches: Batches) -> Batches | OwnBatches:
    """Return the batches as this process gives them to Keras."""
    return batches if processes().count == 1 else OwnBatches(batches)


def mean_without_padding(batches: Batches, mean: float, before: float) -> float:
    """Return the mean loss of an epoch's rows; Keras counts the rows of weight 0 of the last batch, too.

    mean: that of Keras. before: that of Keras for all batches but the last.
    """
    rows, added = batches.rows_per_epoch, batches.padding
    if not added:
        return mean
    earlier = (len(batches) - 1) * batches.batch_size
    last = (mean * (rows + added) - before * earlier) / (rows - earlier + added)
    return (before * earlier + last * (rows - earlier)) / rows
