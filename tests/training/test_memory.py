"""Out of memory: the batch size that would fit is tried, not guessed."""

from __future__ import annotations

import pytest

from transfercli.training.memory import largest_fitting, out_of_memory_error


def room_for(images: int):
    def step(size: int) -> None:
        if size > images:
            raise MemoryError

    return step


@pytest.mark.parametrize("room, fitting", [(100, 64), (64, 64), (63, 32), (1, 1), (0, None)])
def test_the_largest_halving_that_fits_is_found(room: int, fitting: int | None) -> None:
    assert largest_fitting(room_for(room), 128) == fitting


def test_another_error_ends_the_search() -> None:
    def broken(size: int) -> None:
        raise ValueError(size)

    assert largest_fitting(broken, 128) is None


def test_the_error_names_the_batch_size_that_would_fit() -> None:
    error = out_of_memory_error("in epoch 3", 64, room_for(20))
    assert error.message == "out of memory in epoch 3 with batches of 64 images"
    assert error.hint == "set data.batch_size to 16; finished epochs are kept"
    assert "lower data.image_size" in out_of_memory_error("in epoch 3", 64, room_for(0)).hint


def test_one_of_several_processes_tries_no_step_alone() -> None:
    error = out_of_memory_error("in epoch 3", 64, None)

    assert error.hint == "lower data.batch_size, or use more devices; finished epochs are kept"
