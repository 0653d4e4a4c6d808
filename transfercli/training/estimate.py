"""What a training will cost, from a few of its own steps."""

from __future__ import annotations

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
from transfercli.training.phases import Stage, Unfreeze
from transfercli.training.trainer import Trainer

TIMED_STEPS = 3


@dataclass(frozen=True)
class Cost:
    """Of one phase: `train` in seconds, compilation included, and the columns that say which phase it is."""

    kind: str
    unfreeze: Unfreeze
    epochs: int
    learning_rate: float
    train: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def phase_costs(trainer: Trainer) -> list[Cost]:
    """Each phase: its first step (compilation) once, then the median step times the steps, and validation.

    Trains the model for real, so it is of no use afterwards.
    """
    costs = []
    for number, phase in enumerate(trainer.plan.phases, start=1):
        trainer.progress.phase = number
        stage = trainer.begin_phase()
        seconds = _solving(stage.solve) if stage.solve else _training(trainer, stage, phase.epochs)
        costs.append(Cost(phase.kind, phase.unfreeze, phase.epochs, phase.learning_rate, round(seconds, 1)))
    return costs


def peak_memory() -> int | None:
    """The most bytes of memory that this process has held at once; None where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(found.group(1)) * 1024 if found else None


def _solving(solve: Callable[[], None]) -> float:
    started = time.perf_counter()
    solve()
    return time.perf_counter() - started


def _training(trainer: Trainer, stage: Stage, epochs: int) -> float:
    steps = len(stage.batches)
    first, *later = [_timed_step(trainer, stage, step % steps) for step in range(TIMED_STEPS + 1)]
    return first + epochs * (statistics.median(later) * steps + _validating(trainer, stage))


def _timed_step(trainer: Trainer, stage: Stage, number: int) -> float:
    started = time.perf_counter()
    with computing_in(trainer.plan.precision, stage.model):
        stage.model.train_on_batch(*stage.batches[number])
    return time.perf_counter() - started


def _validating(trainer: Trainer, stage: Stage) -> float:
    """Seconds of judging all validation images, from one batch after one that compiles."""
    size = stage.batches.batch_size
    first = SelectedRows(stage.validation, np.arange(min(size, len(stage.validation))))
    forward(stage.model, first, size, trainer.reporter, "validate")
    started = time.perf_counter()
    forward(stage.model, first, size, trainer.reporter, "validate")
    return (time.perf_counter() - started) * -(-len(stage.validation) // size)
