"""Learning-rate range test (Smith 2017, Cyclical learning rates): a short training whose rate grows with each update.

The loss hardly changes at first, falls at useful rates, and rises when the rate is too high.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from transfercli.config.schema import ScheduleConfig, TrainingConfig
from transfercli.models.forward import computing_in
from transfercli.training.compiling import compile_phase, update_groups
from transfercli.training.optim.accumulation import UpdateGroups
from transfercli.training.optim.schedules import growing_rates
from transfercli.training.phases import Phase, PhaseSetup
from transfercli.training.trainer import Trainer, reseed

LOWEST, HIGHEST = 1e-7, 10.0  # range of the rates
UPDATES = 100
SMOOTHING = 0.9  # weight of the past in the moving average of the loss
DIVERGED = 4.0  # the test ends at a smoothed loss this many times its lowest
NOISY = 10  # first updates, over which the moving average is still that of a few batches
CLEAR_FALL = 0.02  # fall of the smoothed loss, as a fraction, without which no rate is suggested


@dataclass(frozen=True)
class RatePoint:
    """Update of a range test. loss: of its images before it; smoothed: the moving average of the losses so far."""

    learning_rate: float
    loss: float
    smoothed: float


@dataclass(frozen=True)
class Suggestion:
    """Learning rates that a range test suggests.

    steepest: the loss falls fastest there, per factor on the rate. minimum: the loss is lowest there, which is already
    too high to train with; a tenth of it is the usual choice.
    """

    steepest: float
    minimum: float

    @property
    def tenth(self) -> float:
        """A tenth of the rate at the lowest loss."""
        return self.minimum / 10


def begin_first_gradient_phase(trainer: Trainer) -> tuple[Phase, PhaseSetup] | None:
    """Set up the first phase that trains by gradients, after the solved phases before it; None if there is none."""
    for number, phase in enumerate(trainer.plan.phases, start=1):
        trainer.progress.phase = number
        setup = trainer.begin_phase()
        if setup.solve is None:
            return phase, setup
        setup.solve()
    return None


def range_test(trainer: Trainer, phase: Phase, setup: PhaseSetup, factor: float) -> list[RatePoint]:
    """Train with growing rates until the loss diverges; the classifier is of no use afterwards.

    The rates are those of the optimizer in the config; the phase trains at `factor` times each. There is no moving
    average of the weights, and no schedule of the config.
    """
    plan, classifier = trainer.plan, trainer.classifier
    groups = update_groups(setup, plan.training)
    scaled = growing_rates(factor * LOWEST, factor * HIGHEST, UPDATES)
    compile_phase(setup, phase, _plain(plan.training), classifier, scaled)
    points: list[RatePoint] = []
    with computing_in(plan.precision, setup.model):
        for loss in _losses(trainer, setup, groups):
            average = _average([point.loss for point in points] + [loss])
            points.append(RatePoint(_rate(len(points)), loss, average))
            trainer.reporter.progress("range test", len(points), UPDATES, f"updates, loss {loss:.4f}")
            if len(points) == UPDATES or _diverged(points):
                break
    return points


def _rate(update: int) -> float:
    """Return the learning rate of an update, counted from 0."""
    return float(f"{LOWEST * (HIGHEST / LOWEST) ** (update / (UPDATES - 1)):.4g}")


def _plain(training: TrainingConfig) -> TrainingConfig:
    """Return the settings without a moving average of the weights and without a schedule."""
    optimizer = training.optimizer.model_copy(update={"ema": None})
    return training.model_copy(update={"optimizer": optimizer, "schedule": ScheduleConfig()})


def _losses(trainer: Trainer, setup: PhaseSetup, groups: UpdateGroups) -> Iterator[float]:
    """Yield the loss of the images of each update, before it, in epoch after epoch."""
    model, batches, epoch = setup.model, setup.batches, 0
    while True:
        epoch += 1
        reseed(trainer.classifier.model, (trainer.plan.seed, epoch))
        batches.set_epoch(epoch)
        for first in range(0, groups.batches, groups.per_update):
            total = images = 0.0
            for number in range(first, min(first + groups.per_update, groups.batches)):
                x, y, weights = batches[number]
                model.reset_metrics()
                total += float(model.train_on_batch(x, y, weights, return_dict=True)["loss"]) * len(y)
                images += len(y)
            yield total / images


def _average(losses: Sequence[float]) -> float:
    """Return the exponential moving average of losses at the last, corrected for its start at 0."""
    weights = SMOOTHING ** np.arange(len(losses) - 1, -1, -1)
    return float(np.average(losses, weights=weights))


def _diverged(points: Sequence[RatePoint]) -> bool:
    last = points[-1]
    return not math.isfinite(last.smoothed) or last.smoothed > DIVERGED * min(point.smoothed for point in points)


def suggested_rates(points: Sequence[RatePoint]) -> Suggestion | None:
    """Return the suggestion of a range test; None if the loss did not clearly fall."""
    finite = [point for point in points if math.isfinite(point.smoothed)]
    finite = finite[NOISY:]
    smoothed = np.array([point.smoothed for point in finite])
    if len(finite) < 2 or smoothed.min() > (1 - CLEAR_FALL) * smoothed[0]:
        return None
    lowest = int(smoothed.argmin())
    slopes = np.gradient(smoothed)[: lowest + 1]  # the logarithms of the rates are equally spaced
    return Suggestion(finite[int(slopes.argmin())].learning_rate, finite[lowest].learning_rate)
