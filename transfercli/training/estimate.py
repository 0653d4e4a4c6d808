"""What a training will cost, from a few of its own steps."""

from __future__ import annotations

import time

from transfercli.models.forward import computing_in
from transfercli.training.trainer import Trainer

TIMED_STEPS = 3


def phase_seconds(trainer: Trainer) -> list[float]:
    """Seconds of each phase: its first step (compilation) once, then the median step times the steps, and validation.

    Trains the model for real, so it is of no use afterwards.
    """
    model, batches, validation = trainer.classifier.model, trainer.batches, trainer.validation
    seconds = []
    for number, phase in enumerate(trainer.plan.phases, start=1):
        trainer.progress.phase = number
        trainer.begin_phase()
        first, *later = [_timed_step(trainer, model, batches[step % len(batches)]) for step in range(TIMED_STEPS + 1)]
        step = sorted(later)[len(later) // 2]
        validating = _timed_validation(trainer) * -(-len(validation) // batches.batch_size)
        seconds.append(round(first + phase.epochs * (step * len(batches) + validating), 1))
    return seconds


def _timed_step(trainer: Trainer, model, batch) -> float:  # type: ignore[no-untyped-def]
    started = time.perf_counter()
    with computing_in(trainer.plan.precision, model):
        model.train_on_batch(*batch)
    return time.perf_counter() - started


def _timed_validation(trainer: Trainer) -> float:
    """Seconds of one validation batch, after one that compiles."""
    images = trainer.batches[0][0]
    trainer.classifier.model.predict_on_batch(images)
    started = time.perf_counter()
    trainer.classifier.model.predict_on_batch(images)
    return time.perf_counter() - started
