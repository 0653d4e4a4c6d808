"""Plan of a training, and its progress: plain values; every checkpoint contains the progress."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from transfercli.config.schema import TrainingConfig
from transfercli.errors import ArtefactError
from transfercli.io.bounded import RESTORE_HINT
from transfercli.runs.untrusted import problem_of
from transfercli.training.phases import Phase

Line = dict[str, Any]  # of metrics.jsonl


@dataclass(frozen=True)
class TimeLimit:
    """Time at which a training is to be over.

    end: on the clock of `time.perf_counter`. ending: seconds that the phases after the trained one take.
    """

    end: float
    ending: float

    def allows(self, seconds: float) -> bool:
        """Return True if work of so many seconds, and the ending after it, is over in time."""
        return time.perf_counter() + seconds + self.ending <= self.end


@dataclass(frozen=True)
class Plan:
    """Plan of a training. precision: of its steps; batchnorm_trains: BatchNorm updates its statistics.

    limit: None if the time is not limited. checks_precision: the loss at the start of a phase is compared with that in
    float32, as `precision` was chosen by the program.
    """

    phases: tuple[Phase, ...]
    training: TrainingConfig
    seed: int
    precision: str = "float32"
    batchnorm_trains: bool = False
    limit: TimeLimit | None = None
    checks_precision: bool = False

    @property
    def epochs(self) -> int:
        """Number of gradient epochs in all phases."""
        return sum(phase.epochs for phase in self.phases if phase.kind == "train")

    @property
    def monitor(self) -> str:
        """Key of an epoch's line by which the best epoch is chosen."""
        return self.training.monitor

    @property
    def min_delta(self) -> float:
        """Least improvement of the monitored metric that early stopping counts."""
        return self.training.early_stopping.min_delta if self.training.early_stopping else 0.0


def monitored(line: Line, monitor: str) -> float:
    """Return the value of a metric in an epoch's line, with the sign changed if it is a loss: larger is better."""
    return float(-line[monitor] if monitor.endswith("loss") else line[monitor])


@dataclass
class Progress:
    """The trainer's counters after an epoch; epochs and phases count from 1.

    in_phase: epochs of this phase so far. waited: epochs since the last improvement in this phase, and phase_best the
    value then. level: epochs since the validation loss was lowest, lowest_loss, or since the rate was lowered.
    out_of_time: another epoch of this phase would not end in time.
    """

    phase: int = 1
    epoch: int = 0
    in_phase: int = 0
    best_epoch: int = 0
    best_value: float | None = None
    waited: int = 0
    phase_best: float | None = None
    level: int = 0
    lowest_loss: float | None = None
    out_of_time: bool = False
    line: Line = field(default_factory=dict)

    def is_over(self, plan: Plan) -> bool:
        """Return True if the phase is over: solved, at its last epoch, or stopped early."""
        phase, stopping = plan.phases[self.phase - 1], plan.training.early_stopping
        patience = stopping.patience if stopping else None
        stopped = patience is not None and self.waited >= patience
        return phase.kind != "train" or self.in_phase >= phase.epochs or stopped or self.out_of_time

    def next_phase(self) -> None:
        """Count on to the next phase."""
        self.phase += 1
        self.in_phase, self.waited, self.phase_best = 0, 0, None
        self.level, self.lowest_loss, self.out_of_time = 0, None, False

    def on_plateau(self, loss: float, patience: int) -> bool:
        """Count an epoch by its validation loss; return True, and count anew, if none of `patience` was the lowest."""
        if self.lowest_loss is None or loss < self.lowest_loss:
            self.level, self.lowest_loss = 0, loss
        else:
            self.level += 1
        if self.level < patience:
            return False
        self.level = 0
        return True

    def count(self, line: Line, monitor: str, min_delta: float = 0.0, *, decides: bool = False) -> bool:
        """Count an epoch by its line; return True if it is the best so far.

        min_delta: an epoch that improves the phase's best by no more than this does not count as an improvement there.
        decides: the epoch is the best whatever its value, as a refit, whose score is not of the same images.
        """
        value = monitored(line, monitor)
        self.epoch, self.in_phase, self.line = line["epoch"], self.in_phase + 1, line
        if self.phase_best is None or value > self.phase_best + min_delta:
            self.phase_best, self.waited = value, 0
        else:
            self.waited += 1
        if self.best_value is not None and value <= self.best_value and not decides:
            return False
        self.best_value, self.best_epoch = value, line["epoch"]
        return True


def parsed_progress(text: bytes) -> dict[str, Any]:
    """Return the counters of a checkpoint's `state.json`. Raises `ArtefactError` if they are invalid.

    They are checked although their hash is right: in a foreign run, the manifest is untrusted too.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        progress = TypeAdapter(Progress).validate_json(text, strict=True)
    except ValidationError as error:
        raise ArtefactError(f"the checkpoint's counters are damaged: {problem_of(error)}", RESTORE_HINT) from None
    if progress.line and progress.line.get("epoch") != progress.epoch:
        raise ArtefactError(
            f"the checkpoint's counters are damaged: their line is not of epoch {progress.epoch}", RESTORE_HINT
        )
    return asdict(progress)
