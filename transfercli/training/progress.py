"""What a training is to do, and how far it is: both plain values, the second kept in every checkpoint."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from transfercli.config.schema import TrainingConfig
from transfercli.errors import ArtefactError
from transfercli.io.bounded import RESTORE_HINT
from transfercli.runs.untrusted import problem_of
from transfercli.training.phases import Phase

Line = dict[str, Any]  # of metrics.jsonl


@dataclass(frozen=True)
class Plan:
    """What a training does. precision: of its steps; batchnorm_trains: BatchNorm learns its statistics."""

    phases: tuple[Phase, ...]
    training: TrainingConfig
    seed: int
    precision: str = "float32"
    batchnorm_trains: bool = False

    @property
    def epochs(self) -> int:
        return sum(phase.epochs for phase in self.phases if phase.kind == "train")

    @property
    def monitor(self) -> str:
        """The number in an epoch's line that says which epoch is best."""
        return self.training.early_stopping.monitor if self.training.early_stopping else "val_loss"


@dataclass
class Progress:
    """The trainer's counters after an epoch; epochs and phases count from 1, `waited` epochs brought no gain."""

    phase: int = 1
    epoch: int = 0
    in_phase: int = 0
    best_epoch: int = 0
    best_value: float | None = None
    waited: int = 0
    phase_best: float | None = None
    line: Line = field(default_factory=dict)

    def is_over(self, plan: Plan) -> bool:
        """Whether the phase is: solved, at its last epoch, or stopped early."""
        phase, stopping = plan.phases[self.phase - 1], plan.training.early_stopping
        stopped = stopping is not None and self.waited >= stopping.patience
        return phase.kind != "train" or self.in_phase >= phase.epochs or stopped

    def next_phase(self) -> None:
        self.phase += 1
        self.in_phase, self.waited, self.phase_best = 0, 0, None

    def count(self, line: Line, monitor: str) -> bool:
        """Take an epoch's line in; whether it is the best epoch so far."""
        value = line[monitor] if monitor.endswith("accuracy") else -line[monitor]
        self.epoch, self.in_phase, self.line = line["epoch"], self.in_phase + 1, line
        if self.phase_best is None or value > self.phase_best:
            self.phase_best, self.waited = value, 0
        else:
            self.waited += 1
        if self.best_value is not None and value <= self.best_value:
            return False
        self.best_value, self.best_epoch = value, line["epoch"]
        return True


def parsed_progress(text: bytes) -> dict[str, Any]:
    """The counters of a checkpoint; `ArtefactError` where they are no counters.

    The stranger who made a run made its manifest, too, so a hash that is right says nothing of what was hashed.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        progress = TypeAdapter(Progress).validate_json(text, strict=True)
    except ValidationError as error:
        raise ArtefactError(f"the checkpoint's counters are damaged: {problem_of(error)}", RESTORE_HINT) from None
    if progress.line and progress.line.get("epoch") != progress.epoch:
        raise ArtefactError(
            f"the checkpoint's counters are damaged: its line is of another epoch than {progress.epoch}", RESTORE_HINT
        )
    return asdict(progress)
