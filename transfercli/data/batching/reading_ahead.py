"""Reading ahead: the next batches are read, and moved to the device, in a thread while a step computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import keras

from transfercli.data.batching.batches import Batches

AHEAD = 2  # batches that are read before they are asked for; each of them is in memory, and on the device

Placement = Callable[[Any], Any]


class ReadAhead(keras.utils.PyDataset):
    """The batches of others in the same order, bit by bit; one thread reads a few of them ahead.

    The thread starts with the first batch of an epoch, so that `Batches.set_epoch` is called before, and ends with the
    epoch; call `close` if an epoch does not come to its end. An error in reading is raised by the batch that it
    belongs to.

    place: called in the thread with each batch, a tuple of arrays; returns the batch as a step takes it.
    """

    def __init__(self, batches: Batches, place: Placement = lambda batch: batch) -> None:
        super().__init__(workers=1)  # Keras asks for batch after batch in the calling thread
        self._batches, self._place = batches, place
        self._reader: ThreadPoolExecutor | None = None
        self._pending: deque[Future[Any]] = deque()
        self._next = 0  # number of the first pending batch

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Any:
        if self._reader is None or index != self._next:
            self._start(index)
        self._read_up_to(index + AHEAD)
        self._next = index + 1
        return self._pending.popleft().result()

    def on_epoch_end(self) -> None:
        """End the thread; Keras calls this after the last batch."""
        self.close()

    def close(self) -> None:
        """End the thread after the batch that it is reading, and forget all batches that were read ahead."""
        self._pending.clear()
        if self._reader is not None:
            self._reader.shutdown(wait=True, cancel_futures=True)
            self._reader = None

    def _start(self, index: int) -> None:
        self.close()
        self._reader = ThreadPoolExecutor(1, "batches")
        self._next = index

    def _read_up_to(self, last: int) -> None:
        """Have all batches up to number `last` read, as far as there are."""
        assert self._reader is not None
        for number in range(self._next + len(self._pending), min(last + 1, len(self))):
            self._pending.append(self._reader.submit(self._read, number))

    def _read(self, number: int) -> Any:
        return self._place(self._batches[number])
