"""Estimate of a training's time, from a few of its own steps."""

from __future__ import annotations

import math
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.models.forward import computing_in, forward
from transfercli.rows import SelectedRows
from transfercli.training.distribution.batches import own_batches
from transfercli.training.phases import PhaseSetup, Unfreeze
from transfercli.training.trainer import Trainer

TIMED_STEPS = 3


@dataclass(frozen=True)
class PhaseCost:
    """Estimated cost of a phase. train: seconds, compilation included; the other fields identify the phase.

    lora_rank: rank of low-rank adaptation, None without it. trained: number of parameters that train.
    """

    kind: str
    unfreeze: Unfreeze
    epochs: int
    learning_rate: float
    lora_rank: int | None
    trained: int
    train: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def phase_costs(trainer: Trainer) -> list[PhaseCost]:
    """Return the estimated cost of each phase: its first step (compilation), then median step x steps, and validation.

    The steps change the model's weights, so discard the trainer afterwards.
    """
    costs = []
    for number, phase in enumerate(trainer.plan.phases, start=1):
        trainer.progress.phase = number
        setup = trainer.begin_phase()
        seconds = _solve_seconds(setup.solve) if setup.solve else _training_seconds(trainer, setup, phase.epochs)
        rank = phase.lora.rank if phase.lora else None
        trained = sum(math.prod(variable.shape) for variable in setup.model.trainable_variables)
        facts = (phase.kind, phase.unfreeze, phase.epochs, phase.learning_rate, rank, trained)
        costs.append(PhaseCost(*facts, round(seconds, 1)))
    return costs


def peak_memory() -> int | None:
    """Return the peak resident memory of this process in bytes, or None if the system does not report it."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    match = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(match.group(1)) * 1024 if match else None


def _solve_seconds(solve: Callable[[], object]) -> float:
    started = time.perf_counter()
    solve()
    return time.perf_counter() - started


def _training_seconds(trainer: Trainer, setup: PhaseSetup, epochs: int) -> float:
    steps = len(setup.batches)
    first, *later = [_timed_step(trainer, setup, step % steps) for step in range(TIMED_STEPS + 1)]
    return first + epochs * (statistics.median(later) * steps + _validation_seconds(trainer, setup))


def _timed_step(trainer: Trainer, setup: PhaseSetup, number: int) -> float:
    started = time.perf_counter()
    with computing_in(trainer.plan.precision, setup.model):
        setup.model.train_on_batch(*own_batches(setup.batches)[number])
    return time.perf_counter() - started


def _validation_seconds(trainer: Trainer, setup: PhaseSetup) -> float:
    """Return the seconds of a pass over all validation images, from one batch after a batch that compiles."""
    size = setup.batches.batch_size
    first = SelectedRows(setup.validation, np.arange(min(size, len(setup.validation))))
    forward(setup.model, first, size, trainer.reporter, "validate")
    started = time.perf_counter()
    forward(setup.model, first, size, trainer.reporter, "validate")
    return (time.perf_counter() - started) * -(-len(setup.validation) // size)
