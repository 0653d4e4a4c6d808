"""Batches that a thread reads ahead: order, errors, and the end of the thread."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from transfercli.data.batching.batches import Batches
from transfercli.data.batching.reading_ahead import AHEAD, ReadAhead
from transfercli.rows import ArrayRows

X = np.arange(50, dtype=np.uint8).reshape(10, 5)


class Recorded(ArrayRows):
    """Rows that note the thread of every reading, and fail at row `bad`."""

    def __init__(self, bad: int | None = None) -> None:
        super().__init__(X)
        object.__setattr__(self, "bad", bad)
        object.__setattr__(self, "threads", [])

    def read(self, indices):
        self.threads.append(threading.current_thread().name)
        if self.bad is not None and self.bad in indices:
            raise OSError("a disk that is gone")
        return super().read(indices)


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_batches_come_in_their_order_in_every_epoch_from_another_thread() -> None:
    rows = Recorded()
    batches = Batches(rows, np.arange(10), 3, seed=4)
    ahead = ReadAhead(batches)
    for epoch in (1, 2, 1):
        batches.set_epoch(epoch)
        found = [ahead[number] for number in range(len(ahead))]
        ahead.on_epoch_end()
        assert readers() == []
        for batch, number in zip(found, range(4), strict=True):
            assert all(np.array_equal(*parts) for parts in zip(batch, batches[number], strict=True))
    assert any(name.startswith("batches") for name in rows.threads)


def test_no_more_than_a_few_batches_are_read_before_they_are_asked_for() -> None:
    rows = Recorded()
    ahead = ReadAhead(Batches(rows, np.arange(10), 1, seed=0))
    ahead[0]
    ahead._reader.shutdown(wait=True)  # type: ignore[union-attr]
    assert len(rows.threads) == 1 + AHEAD
    ahead.close()


def test_an_epoch_that_begins_again_forgets_what_was_read_ahead() -> None:
    batches = Batches(ArrayRows(X), np.arange(10), 3, seed=4)
    ahead = ReadAhead(batches)
    batches.set_epoch(1)
    ahead[0]
    batches.set_epoch(2)  # Keras reads the first batch of the first epoch twice, to build the model
    assert np.array_equal(ahead[0][0], batches[0][0])
    ahead.close()


def test_an_error_reaches_the_caller_with_the_batch_that_it_belongs_to() -> None:
    ahead = ReadAhead(Batches(Recorded(bad=4), np.arange(10), 2))
    for number in (0, 1):
        assert np.array_equal(ahead[number][1], [2 * number, 2 * number + 1])
    with pytest.raises(OSError, match="disk"):
        ahead[2]
    ahead.close()
    assert readers() == []


def test_batches_are_placed_in_the_thread_that_reads_them() -> None:
    threads = []

    def place(batch):
        threads.append(threading.current_thread().name)
        return batch

    ahead = ReadAhead(Batches(ArrayRows(X), np.arange(10), 5), place)
    ahead[0]
    ahead.close()
    assert all(name.startswith("batches") for name in threads)
