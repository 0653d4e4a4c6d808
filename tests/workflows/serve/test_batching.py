"""Batches: when one is computed, and of how many images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from transfercli.workflows.predict.loadable import ModelOutput
from transfercli.workflows.serve.batching import GATHER_SECONDS, Batcher, Item, Job, Rate, Speed, rows_of

PROPORTIONAL = [(1, 1.0), (2, 2.0), (4, 4.0), (8, 8.0)]
CONSTANT = [(1, 1.0), (2, 1.0), (4, 1.0), (8, 1.0)]


class Model:
    """Batcher whose model only records what it is sent, and whose timers run when the test says so."""

    def __init__(self, measured: list[tuple[int, float]] = CONSTANT) -> None:
        self.sent: list[int] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.coming = 0
        self.batcher = Batcher(
            Speed(8, measured),
            lambda images: self.sent.append(len(images)),
            lambda seconds, call: self.timers.append((seconds, call)),
            lambda: self.coming,
        )

    def add(self, count: int) -> list[Item]:
        items = [item(number) for number in range(count)]
        self.batcher.add(items)
        return items


def item(level: int) -> Item:
    job = Job([None], 1, False, lambda: None, 1, probabilities=[None])
    return Item(job, 0, pixels=np.full((2, 2, 3), level, np.uint8))


def test_an_idle_model_starts_at_once() -> None:
    model = Model()
    model.add(1)
    assert model.sent == [1]
    assert model.timers == []


def test_an_idle_model_waits_a_moment_for_images_that_are_being_decoded() -> None:
    model = Model()
    model.coming = 3
    model.add(1)
    assert model.sent == []
    ((seconds, timer),) = model.timers
    assert seconds == GATHER_SECONDS
    model.add(1)
    assert model.sent == []
    assert len(model.timers) == 1
    model.coming = 0
    timer()
    assert model.sent == [2]


def test_a_full_batch_waits_for_nothing() -> None:
    model = Model()
    model.coming = 3
    model.add(8)
    assert model.sent == [8]


def test_while_one_is_computed_another_is_handed_over_once_it_is_half_full() -> None:
    model = Model()
    model.add(3)
    model.add(3)
    assert model.sent == [3]
    model.add(2)
    assert model.sent == [3, 5]
    model.add(20)
    assert model.sent == [3, 5], "two are handed over at most"
    model.batcher.take()
    assert model.sent == [3, 5, 8]


def test_enough_images_do_not_wait_for_fewer_that_are_being_decoded() -> None:
    model = Model()
    model.coming = 3
    model.add(3)
    assert model.sent == [3]


def test_a_batch_keeps_the_order_of_its_images() -> None:
    model = Model()
    items = model.add(3)
    taken, images = model.batcher.take()
    assert taken == items
    assert images[:, 0, 0, 0].tolist() == [0, 1, 2]


def test_images_that_nobody_waits_for_are_not_computed() -> None:
    model = Model()
    model.add(1)
    items = model.add(3)
    for one in items[1:]:
        one.job.over = True
    model.batcher.take()
    assert model.sent == [1, 1]


@pytest.mark.parametrize(
    "measured, waiting, size",
    [(PROPORTIONAL, 5, 4), (CONSTANT, 5, 5), (PROPORTIONAL, 7, 4), (PROPORTIONAL, 4, 4), (CONSTANT, 30, 8), ([], 3, 2)],
)
def test_the_size_is_the_one_with_most_images_a_second(
    measured: list[tuple[int, float]], waiting: int, size: int
) -> None:
    assert Speed(8, measured).best_size(waiting) == size


def test_a_speed_follows_what_is_measured() -> None:
    speed = Speed(8, PROPORTIONAL)
    for _ in range(50):
        speed.record(8, 1.0)
    assert speed.seconds(8) == pytest.approx(1.0, abs=0.01)
    assert speed.best_size(5) == 5


def test_a_size_that_was_never_computed_is_in_proportion_to_the_nearest() -> None:
    assert Speed(32, [(1, 0.5), (2, 1.0)]).seconds(16) == 8.0


def test_a_rate_counts_only_while_images_wait() -> None:
    rate = Rate(100.0)
    rate.record(10, 1.0, busy=False)
    rate.record(10, 1000.0, busy=False)
    assert rate.value == 100.0
    for number in range(1, 60):
        rate.record(10, 1000.0 + number, busy=True)
    assert rate.value == pytest.approx(10.0, abs=0.1)


def test_rows_of_an_output_are_taken_from_all_its_arrays() -> None:
    output = ModelOutput(np.eye(3, dtype=np.float32), np.array([True, False, True]), unknown=np.arange(3.0))
    part = rows_of(output, [2, 0])
    assert part.probabilities.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert part.abstained.tolist() == [True, True]
    assert part.unknown is not None
    assert part.unknown.tolist() == [2, 0]
    assert part.strange is None


def test_a_job_is_over_with_its_last_prediction() -> None:
    from transfercli.workflows.predict.predictions import Prediction

    finished: list[bool] = []
    job = Job([None, None], 1, False, lambda: finished.append(True), 2, probabilities=[None, None])
    job.set(1, Prediction("", error="no"))
    assert not finished
    job.set(1, Prediction("", error="again"))
    job.set(0, Prediction("", (("a", 1.0),)))
    assert finished == [True]
    assert [one.error for one in job.predictions if one] == ["", "no"]
