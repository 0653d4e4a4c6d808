"""The table of learning-rate schedules: the factor on the peak rate, as a function of the step.

Each row is plain arithmetic on tensors or numbers, so it runs inside a compiled step on any backend and its value
at a step does not depend on how one got there: a resumed run continues on the same curve.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transfercli.config.schema import ScheduleConfig

Shape = Callable[["Clock", ScheduleConfig, Any], Any]


@dataclass(frozen=True)
class Clock:
    """How long a phase is, in optimizer steps; `warmup` of them are the linear warm-up."""

    total: int
    steps_per_epoch: int
    warmup: int

    @property
    def after(self) -> int:
        """Steps after the warm-up, at least one."""
        return max(self.total - self.warmup, 1)


def _constant(clock: Clock, config: ScheduleConfig, step: Any) -> Any:
    return 1.0


def _cosine(clock: Clock, config: ScheduleConfig, step: Any) -> Any:
    """Half a cosine from 1 to 0 (SGDR without restarts, Loshchilov & Hutter 2017)."""
    from keras import ops

    return 0.5 * (1.0 + ops.cos(math.pi * ops.minimum(step / clock.after, 1.0)))


def _step(clock: Clock, config: ScheduleConfig, step: Any) -> Any:
    """Times `gamma` every `step_epochs` epochs."""
    from keras import ops

    return ops.power(config.gamma, ops.floor(step / (config.step_epochs * clock.steps_per_epoch)))


def _exponential(clock: Clock, config: ScheduleConfig, step: Any) -> Any:
    """Down to `gamma` at the end of the phase, by the same factor each step."""
    from keras import ops

    return ops.power(config.gamma, step / clock.after)


def _inverse_sqrt(clock: Clock, config: ScheduleConfig, step: Any) -> Any:
    """1/sqrt(k) over the steps k = 1, 2, …; after a warm-up of w steps sqrt(w/k), which joins it without a jump."""
    from keras import ops

    first = max(clock.warmup, 1)
    return ops.sqrt(first / (step + first))


SCHEDULES: dict[str, Shape] = {
    "constant": _constant,
    "cosine": _cosine,
    "step": _step,
    "exponential": _exponential,
    "inverse_sqrt": _inverse_sqrt,
}


def build_schedule(config: ScheduleConfig, peak: float, epochs: int, steps_per_epoch: int) -> Any:
    """A `LearningRateSchedule` for one phase of `epochs` epochs; `peak` is reached right after the warm-up."""
    import keras
    from keras import ops

    warmup = round(config.warmup_epochs * steps_per_epoch)
    clock = Clock(epochs * steps_per_epoch, steps_per_epoch, min(warmup, epochs * steps_per_epoch - 1))
    shape = SCHEDULES[config.name]

    class PhaseSchedule(keras.optimizers.schedules.LearningRateSchedule):
        """Warm-up, then the row's shape; `step` counts optimizer steps of the phase from 0."""

        def __call__(self, step: Any) -> Any:
            step = ops.cast(step, "float32")
            rate = peak * shape(clock, config, ops.maximum(step - clock.warmup, 0.0))
            ramp = peak * (step + 1.0) / (clock.warmup + 1.0)
            return ops.cast(ops.where(step < clock.warmup, ramp, rate), "float32")

        def get_config(self) -> dict[str, Any]:
            return {"peak": peak, "schedule": config.name}

    return PhaseSchedule()
