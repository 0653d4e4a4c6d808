"""Plans of further epochs, and the checkpoint that they start from."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from transfercli.config.schema import TrainingConfig
from transfercli.training.checkpoints import Checkpoint
from transfercli.training.continuation import Continuation, continued, continued_checkpoint, same_state
from transfercli.training.phases import PROBE, REFIT, Lora, Phase
from transfercli.training.progress import Progress

TUNED = Phase("conv3", 6, 1e-3, decay=0.5, lora=Lora(4))
STATE = {"00000/iterations": np.int64(12), "00001/kernel_momentum": np.ones((2, 2), "float32")}


def checkpoint(state: dict[str, np.ndarray] = STATE, **counters: Any) -> Checkpoint:
    line = {"epoch": 8, "val_loss": 0.4, "val_accuracy": 0.8}
    progress = Progress(
        **{"phase": 2, "epoch": 8, "in_phase": 6, "best_epoch": 8, "best_value": -0.4, "line": line} | counters
    )
    return Checkpoint({}, state, asdict(progress))


def settings(**sections: Any) -> TrainingConfig:
    return TrainingConfig(**sections)


def plan(
    phases: list[Phase],
    after: TrainingConfig,
    last: Checkpoint,
    rate: float = 1e-3,
    before: TrainingConfig | None = None,
) -> Continuation:
    return continued(phases, last, before or TrainingConfig(), after, rate, 4)


@pytest.mark.parametrize(
    "name, restarts",
    [
        ("constant", False),
        ("step", False),
        ("inverse_sqrt", False),
        ("plateau", False),
        ("cosine", True),
        ("exponential", True),
    ],
)
def test_the_last_phase_is_longer_and_a_schedule_that_ends_with_it_begins_again(name: str, restarts: bool) -> None:
    training = settings(schedule={"name": name})
    found = plan([PROBE, TUNED], training, checkpoint(), before=training)
    assert found.phases == (PROBE, replace(TUNED, epochs=10, schedule_start=6 * restarts))
    assert found.restarts_schedule == restarts
    assert found.phases[-1].schedule_epochs == (4 if restarts else 10)
    twice = plan(list(found.phases), training, checkpoint(in_phase=10), before=training)
    assert twice.phases[-1].schedule_start == 10 * restarts


def test_a_phase_that_stopped_early_counts_the_epochs_that_it_had() -> None:
    assert plan([TUNED], settings(), checkpoint(in_phase=3)).phases[-1].epochs == 7


def test_another_rate_begins_the_schedule_again_with_the_same_state() -> None:
    found = plan([TUNED], settings(optimizer={"learning_rate": 1e-4}), checkpoint(), rate=1e-4)
    assert found.keeps_optimizer
    assert found.phases == (replace(TUNED, epochs=10, learning_rate=1e-4, schedule_start=6),)


@pytest.mark.parametrize("changed", [{"name": "sgd"}, {"ema": 0.9}, {"accumulate": 2}])
def test_an_optimizer_of_other_variables_trains_a_new_phase(changed: dict[str, Any]) -> None:
    found = plan([PROBE, TUNED], settings(optimizer=changed), checkpoint(in_phase=3))
    assert not found.keeps_optimizer
    assert found.phases == (PROBE, replace(TUNED, epochs=3), replace(TUNED, epochs=4))
    assert not same_state(settings(), settings(optimizer=changed))


def test_after_a_blend_or_a_refit_that_kept_the_fine_tuning_a_new_phase_trains_the_same_layers() -> None:
    blend, refit = Phase("conv3", 6, 0.0, "blend"), replace(REFIT, unfreeze="conv3", epochs=6)
    found = plan([PROBE, TUNED, blend, refit], settings(), checkpoint(state={}, phase=4, in_phase=1))
    assert found.phases == (PROBE, TUNED, blend, refit, replace(TUNED, epochs=4))
    assert not found.keeps_optimizer


def test_waiting_begins_anew_and_the_best_epoch_is_compared_by_the_metric_that_is_monitored_now() -> None:
    before, after = settings(), settings(early_stopping={"monitor": "val_accuracy", "patience": 2})
    last = checkpoint(waited=5, phase_best=-0.4, level=2, lowest_loss=0.4)
    found = plan([TUNED], after, last)
    progress = continued_checkpoint(last, last.progress["line"], found, before, after).progress
    assert (progress["waited"], progress["best_value"], progress["phase_best"]) == (0, 0.8, None)
    assert (progress["level"], progress["lowest_loss"], progress["epoch"]) == (2, 0.4, 8)


@pytest.mark.parametrize(
    "stored, name, rate, expected",
    [
        (0.25, "plateau", 1e-3, 0.25),
        (0.25, "plateau", 1e-4, 1.0),
        (None, "plateau", 1e-3, 1.0),
        (0.25, "constant", 1e-3, None),
    ],
)
def test_the_factor_of_a_plateau_goes_on_or_begins_at_one(
    stored: float | None, name: str, rate: float, expected: float | None
) -> None:
    before = settings(schedule={"name": "constant" if stored is None else "plateau"})
    state = STATE | ({} if stored is None else {"00002/reduction": np.float32(stored)})
    last, after = checkpoint(state=state), settings(schedule={"name": name})
    found = plan([TUNED], after, last, rate, before)
    result = continued_checkpoint(last, last.progress["line"], found, before, after).state
    assert result.keys() == STATE.keys() | ({"00002/reduction"} if expected else set())
    assert expected is None or result["00002/reduction"] == expected
