"""Pruners of a sweep: the early end of trials that look bad."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from transfercli.config.schema import SweepConfig

if TYPE_CHECKING:
    from optuna import Study

STARTUP_TRIALS = 5  # completed trials before the median of an epoch counts
WARMUP_EPOCHS = 2
REDUCTION = 3  # a third of the trials goes on after epochs 2, 6, 18, …


class SuccessiveHalving(BasePruner):
    """Asynchronous successive halving (Li et al. 2018): after each rung of epochs only the best fraction goes on.

    The answer depends on the epochs in the storage alone, so that a process that was killed before it could act on it
    gets it again. Optuna's own pruner keeps notes that it reads as an answer already acted on.
    """

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return True if the trial ends at its last epoch."""
        epoch = trial.last_step
        if epoch is None or not _is_rung(epoch):
            return False
        others = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
        values = [other.intermediate_values[epoch] for other in others if epoch in other.intermediate_values]
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        own = sign * trial.intermediate_values[epoch]
        better = sum(sign * value < own for value in values)
        return better >= max((len(values) + 1) // REDUCTION, 1)


def pruner_of(settings: SweepConfig) -> BasePruner:
    """Return the pruner of a sweep's settings."""
    if settings.pruner == "median":
        return MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=WARMUP_EPOCHS)
    return SuccessiveHalving() if settings.pruner == "successive_halving" else NopPruner()


def _is_rung(epoch: int) -> bool:
    """Return True for `WARMUP_EPOCHS` times a power of `REDUCTION`."""
    if epoch < WARMUP_EPOCHS or epoch % WARMUP_EPOCHS:
        return False
    power = round(math.log(epoch / WARMUP_EPOCHS, REDUCTION))
    return WARMUP_EPOCHS * REDUCTION**power == epoch
