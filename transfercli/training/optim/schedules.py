"""Table of learning-rate schedules: each row gives the factor on the peak rate as a function of the step.

Each row is plain arithmetic on tensors or numbers, so it runs inside a compiled step on any backend, and its value
depends only on the step: a resumed run continues on the same curve. The rate of `plateau` also depends on the
validation losses so far, by a factor that is one of the optimizer's variables, so that checkpoints contain it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transfercli.config.schema import ScheduleConfig, TrainingConfig
from transfercli.errors import ConfigError

Factor = Callable[["PhaseSteps", ScheduleConfig, Any], Any]  # of a step after the warm-up, counted from 0


@dataclass(frozen=True)
class PhaseSteps:
    """Length of a phase in optimizer steps; the first `warmup` of them are the linear warm-up."""

    total: int
    steps_per_epoch: int
    warmup: int

    @property
    def after_warmup(self) -> int:
        """Steps after the warm-up, at least one."""
        return max(self.total - self.warmup, 1)


def _constant(phase: PhaseSteps, config: ScheduleConfig, step: Any) -> Any:
    """Return 1."""
    return 1.0


def _cosine(phase: PhaseSteps, config: ScheduleConfig, step: Any) -> Any:
    """Return half a cosine from 1 to 0 (SGDR without restarts, Loshchilov & Hutter 2017)."""
    from keras import ops

    return 0.5 * (1.0 + ops.cos(math.pi * ops.minimum(step / phase.after_warmup, 1.0)))


def _step(phase: PhaseSteps, config: ScheduleConfig, step: Any) -> Any:
    """Multiply by `gamma` every `step_epochs` epochs."""
    from keras import ops

    return ops.power(config.gamma, ops.floor(step / (config.step_epochs * phase.steps_per_epoch)))


def _exponential(phase: PhaseSteps, config: ScheduleConfig, step: Any) -> Any:
    """Decrease from 1 to `gamma` at the end of the phase, by the same factor each step."""
    from keras import ops

    return ops.power(config.gamma, step / phase.after_warmup)


def _inverse_sqrt(phase: PhaseSteps, config: ScheduleConfig, step: Any) -> Any:
    """Return 1/sqrt(k) in the steps k = 1, 2, …; after a warm-up of w steps sqrt(w/k), which starts at 1."""
    from keras import ops

    first = max(phase.warmup, 1)
    return ops.sqrt(first / (step + first))


PLATEAU = "plateau"
REDUCTION = "reduction"  # name of the optimizer's variable for the factor of `plateau`
SCHEDULES: dict[str, Factor] = {
    "constant": _constant,
    "cosine": _cosine,
    "step": _step,
    "exponential": _exponential,
    "inverse_sqrt": _inverse_sqrt,
    PLATEAU: _constant,
}
ENDING = ("cosine", "exponential")  # schedules whose shape depends on the length of the phase


def build_schedule(config: ScheduleConfig, peak: float, epochs: int, steps_per_epoch: int, start: int = 0) -> Any:
    """Build the `LearningRateSchedule` of a phase of `epochs` epochs; it reaches `peak` right after the warm-up.

    start: number of the epoch at which it begins, if the optimizer made updates of the phase before.
    """
    import keras
    from keras import ops

    warmup = round(config.warmup_epochs * steps_per_epoch)
    phase = PhaseSteps(epochs * steps_per_epoch, steps_per_epoch, min(warmup, epochs * steps_per_epoch - 1))
    factor, first = SCHEDULES[config.name], start * steps_per_epoch

    class PhaseSchedule(keras.optimizers.schedules.LearningRateSchedule):
        """Learning rate of a phase: warm-up, then the row's factor; steps count from 0 at the start of the schedule.

        reduction: variable of the optimizer, a further factor on the rate; None unless the schedule is `plateau`.
        """

        reduction: Any = None

        def __call__(self, step: Any) -> Any:
            step = ops.cast(step, "float32") - first
            rate = peak * factor(phase, config, ops.maximum(step - phase.warmup, 0.0))
            ramp = peak * (step + 1.0) / (phase.warmup + 1.0)
            rate = ops.where(step < phase.warmup, ramp, rate)
            return ops.cast(rate if self.reduction is None else rate * self.reduction, "float32")

        def get_config(self) -> dict[str, Any]:
            return {"peak": peak, "schedule": config.name}

    return PhaseSchedule()


def growing_rates(lowest: float, highest: float, updates: int) -> Any:
    """Build the `LearningRateSchedule` that grows by the same factor each update, from `lowest` to `highest`."""
    import keras
    from keras import ops

    class GrowingRates(keras.optimizers.schedules.LearningRateSchedule):
        """Learning rate of a range test."""

        def __call__(self, step: Any) -> Any:
            share = ops.cast(step, "float32") / max(updates - 1, 1)
            return ops.cast(lowest * ops.power(highest / lowest, share), "float32")

        def get_config(self) -> dict[str, Any]:
            return {"lowest": lowest, "highest": highest, "updates": updates}

    return GrowingRates()


def check_warmup(training: TrainingConfig) -> None:
    """Raise `ConfigError` if the warm-up is longer than the whole training.

    This is no rule of the schema: runs of earlier versions, which accepted it, must stay readable.
    """
    warmup, epochs = training.schedule.warmup_epochs, training.epochs
    if warmup > epochs:
        raise ConfigError(
            f"training.schedule.warmup_epochs: is longer than the training, received {warmup:g}; allowed: less than"
            f" {epochs}, its epochs",
            "lower warmup_epochs, or raise training.epochs or those of transfer.phases",
        )
