"""Passes over rows in which reading, computing and fetching overlap."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
import pytest

from transfercli.models.passes.overlap import IN_FLIGHT, outputs_of
from transfercli.rows import ArrayRows, Indices, TransformedRows

ROWS = ArrayRows(np.arange(22).reshape(11, 2))


@dataclass
class Device:
    """Device that computes results only when they are fetched; it records in which order things happen."""

    events: list[str] = field(default_factory=list)

    def compute(self, batch: np.ndarray) -> Result:
        self.events.append(f"start {batch[0, 0]}")
        return Result(batch, self)


@dataclass
class Result:
    batch: np.ndarray
    device: Device

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        self.device.events.append(f"fetch {self.batch[0, 0]}")
        return self.batch * 10


def test_outputs_come_in_the_order_of_the_indices_and_without_the_padding_of_the_last_batch() -> None:
    indices, shapes = np.array([3, 1, 10, 0, 5, 5, 2]), []

    def compute(batch: np.ndarray) -> np.ndarray:
        shapes.append(batch.shape)
        return batch * 10

    found = list(outputs_of(compute, ROWS, indices, 3))
    assert np.array_equal(np.concatenate(found), ROWS.read(indices) * 10)
    assert (len(found[-1]), shapes) == (1, [(3, 2)] * 3)


def test_results_are_fetched_while_others_are_on_their_way() -> None:
    device = Device()
    list(outputs_of(device.compute, ROWS, np.arange(10), 2))
    started = [device.events[: number + 1] for number, event in enumerate(device.events) if event.startswith("fetch")]
    waiting = [sum(e.startswith("start") for e in seen) - sum(e.startswith("fetch") for e in seen) for seen in started]
    assert waiting == [IN_FLIGHT] * 3 + [1, 0]
    assert [event for event in device.events if event.startswith("fetch")] == [f"fetch {4 * n}" for n in range(5)]


def test_the_next_batch_is_read_while_one_is_computed() -> None:
    second_read = threading.Event()

    def read(rows: np.ndarray, indices: Indices) -> np.ndarray:
        if indices[0] == 4:
            second_read.set()
        return rows

    def compute(batch: np.ndarray) -> np.ndarray:
        assert second_read.wait(30), "nothing is read while this batch is computed"
        return batch

    assert len(list(outputs_of(compute, TransformedRows(ROWS, read), np.arange(8), 4))) == 2


def test_an_error_of_the_reading_thread_reaches_the_caller_() -> None:
    def read(rows: np.ndarray, indices: Indices) -> np.ndarray:
        if 6 in indices:
            raise OSError("the disk is gone")
        return rows

    outputs = outputs_of(lambda batch: batch, TransformedRows(ROWS, read), np.arange(11), 1)
    for _ in range(6 - IN_FLIGHT):
        next(outputs)
    with pytest.raises(OSError, match="the disk is gone"):
        next(outputs)


def test_a_pass_that_is_left_ends_its_thread() -> None:
    before = threading.active_count()
    outputs = outputs_of(lambda batch: batch, ROWS, np.arange(11), 1)
    next(outputs)
    outputs.close()
    assert threading.active_count() == before
