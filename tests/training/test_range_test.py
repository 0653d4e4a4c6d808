"""Learning-rate range test: its rates and losses, its end, and the rates that it suggests."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.training.trainers import same, tensors, trainer
from transfercli.config.schema import OptimizerConfig, ScheduleConfig
from transfercli.training import range_test as module
from transfercli.training.phases import PROBE, Phase, Solved
from transfercli.training.range_test import (
    DIVERGED,
    RatePoint,
    begin_first_gradient_phase,
    range_test,
    suggested_rates,
)


def points(losses: list[float]) -> list[RatePoint]:
    """Return ten noisy updates, then the losses at rates from 1e-5 upwards."""
    noisy = [RatePoint(1e-6, loss, loss) for loss in (3.0, 1.0) * 5]
    return noisy + [RatePoint(10.0 ** (n - 5), loss, loss) for n, loss in enumerate(losses)]


def measured(digits: Any, **training: Any) -> tuple[list[RatePoint], Any]:
    job = trainer(digits, [Phase("all", 2, 1e-3)], **training)
    phase, setup = begin_first_gradient_phase(job)
    return range_test(job, phase, setup, 1.0), job


def test_the_suggestion_is_the_steepest_descent_and_a_tenth_of_the_rate_at_the_lowest_loss() -> None:
    found = suggested_rates(points([2.0, 2.0, 1.8, 1.0, 0.6, 0.5, 3.0]))
    assert found is not None
    assert (found.steepest, found.minimum, found.tenth) == (1e-2, 1.0, 0.1)


@pytest.mark.parametrize("losses", [[2.0, 2.0, 1.99, 3.0, 8.0], [2.0, math.nan], [math.inf]])
def test_without_a_clear_fall_there_is_no_suggestion(losses: list[float]) -> None:
    assert suggested_rates(points(losses)) is None


def test_the_rate_grows_by_the_same_factor_until_the_loss_diverges_and_a_second_test_is_equal(
    digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UPDATES", 25)
    found, job = measured(digits, optimizer=OptimizerConfig(name="sgd", momentum=0.0))
    rates = np.array([point.learning_rate for point in found])
    assert rates[0] == 1e-7
    assert np.allclose(rates[1:] / rates[:-1], 1e8 ** (1 / 24), rtol=1e-3)
    weights = 0.9 ** np.arange(len(found))[::-1]
    assert found[-1].smoothed == pytest.approx(np.average([point.loss for point in found], weights=weights), rel=1e-6)
    lowest = min(point.smoothed for point in found)
    assert all(point.smoothed <= DIVERGED * lowest for point in found[:-1])
    assert len(found) == 25 or found[-1].smoothed > DIVERGED * lowest or not math.isfinite(found[-1].smoothed)
    again, other = measured(digits, optimizer=OptimizerConfig(name="sgd", momentum=0.0))
    assert again == found
    assert same(tensors(job), tensors(other))


def test_each_update_uses_its_batches_once_at_the_rate_of_the_phase_whatever_the_schedule(
    digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With plain gradient descent at rates too low to matter, the loss of an update is that of the initial weights."""
    monkeypatch.setattr(module, "UPDATES", 8)
    settings = {"schedule": ScheduleConfig(name="plateau", warmup_epochs=1.0)}
    one, _ = measured(digits, optimizer=OptimizerConfig(name="sgd", ema=0.9), **settings)
    four, _ = measured(digits, optimizer=OptimizerConfig(name="sgd", accumulate=4), **settings)
    assert np.mean([point.loss for point in one[:4]]) == pytest.approx(four[0].loss, rel=0.05)  # dropout differs
    monkeypatch.setattr(module, "UPDATES", 2)
    job = trainer(digits, [Phase("all", 2, 1e-3)])
    found = range_test(job, *begin_first_gradient_phase(job), 0.1)
    assert [point.learning_rate for point in found] == [1e-7, 10.0]
    schedule = job.setup.model.optimizer._learning_rate
    assert float(schedule(1)) == pytest.approx(1.0)  # of the last update: a tenth of it, in this phase


def test_phases_that_are_solved_come_first_and_alone_have_no_rate(digits) -> None:

    job, solved = trainer(digits, [PROBE, Phase("none", 2, 1e-2)]), []
    whole = job.set_up_phase(PROBE)

    job.set_up_phase = lambda phase: (
        replace(whole, solve=lambda: solved.append(1) or Solved({})) if phase.kind == "probe" else whole
    )
    phase, _ = begin_first_gradient_phase(job)
    assert (phase.learning_rate, job.progress.phase, solved) == (1e-2, 2, [1])
    job.plan = replace(job.plan, phases=(PROBE,))
    assert begin_first_gradient_phase(job) is None
