"""Schedules at the steps that matter."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.config.schema import ScheduleConfig
from transfercli.training.optim.schedules import SCHEDULES, build_schedule


def rates(name: str, warmup: float = 0, epochs: int = 10, per_epoch: int = 10, **more) -> np.ndarray:
    schedule = build_schedule(ScheduleConfig(name=name, warmup_epochs=warmup, **more), 0.1, epochs, per_epoch)
    return np.array([float(schedule(step)) for step in range(epochs * per_epoch)])


@pytest.mark.parametrize("name", SCHEDULES)
def test_warm_up_rises_linearly_and_then_the_peak_is_reached(name: str) -> None:
    found = rates(name, warmup=1)
    np.testing.assert_allclose(np.diff(found[:10]), 0.1 / 11, atol=1e-6)
    assert found[10] == pytest.approx(0.1, rel=1e-5)
    assert found.max() <= 0.1 + 1e-7


def test_constant_stays() -> None:
    assert np.ptp(rates("constant")) == 0


def test_cosine_is_half_way_in_the_middle_and_ends_near_zero() -> None:
    found = rates("cosine")
    assert found[50] == pytest.approx(0.05, rel=1e-4)
    assert found[-1] < 1e-4


def test_step_drops_every_step_epochs() -> None:
    found = rates("step", step_epochs=4, gamma=0.5)
    np.testing.assert_allclose([found[39], found[40], found[80]], [0.1, 0.05, 0.025], rtol=1e-5)


def test_exponential_ends_at_gamma() -> None:
    assert rates("exponential", gamma=0.01)[-1] == pytest.approx(0.001, rel=0.1)


def test_inverse_sqrt_is_one_over_the_root_of_the_step() -> None:
    np.testing.assert_allclose(rates("inverse_sqrt")[[0, 3, 99]], [0.1, 0.05, 0.01], rtol=1e-5)
