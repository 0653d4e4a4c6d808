"""Cost of a prediction by a trial's model, as its files say: nothing is built or timed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from transfercli.models.weights.safetensors_reader import read_header
from transfercli.runs.folder import RunFolder
from transfercli.workflows.resolved_config import multiply_adds_of
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.sweep.result import TrialRow


@dataclass(frozen=True)
class PredictionCost:
    """Cost of a prediction.

    multiply_adds: of the base for one image. parameters: of the model, or of one fold's model.
    """

    multiply_adds: int
    parameters: int

    @classmethod
    def of(cls, row: TrialRow) -> PredictionCost:
        """Return the cost of a trial's model, or of one of its folds."""
        run = StoredRun(RunFolder(row.runs[0]))
        files = (run.folder.checkpoints / "best" / "model.safetensors", run.folder.checkpoints / "frozen.safetensors")
        entries = [entry for path in files if path.exists() for entry in read_header(path).values()]
        return cls(round(multiply_adds_of(run.config)), sum(math.prod(entry.shape) for entry in entries))

    @property
    def order(self) -> tuple[int, int]:
        """Key that sorts models by cost."""
        return self.multiply_adds, self.parameters

    def as_json(self) -> dict[str, Any]:
        return {"multiply_adds": self.multiply_adds, "parameters": self.parameters}
