"""Result of `merge`: the new run, what it was made from, and what it gained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfercli.runs.folder import RunFolder
from transfercli.runs.record import RunRecord


@dataclass(frozen=True)
class MergeResult:
    """A merged run, from its record.

    Attributes:
        run: the run folder.
        how: `average` or `soup`.
        members: run, val_accuracy, val_loss and `used` of each, the best one first.
        scored: `images` and `answers_of`: every member, or the fold that held the image out.
        metrics: val_accuracy and val_loss of the merged model on these images.
        gains: over the best and the mean member, by metric, with intervals; empty if no image shows them.
        seconds: of the command.
    """

    run: Path
    status: str
    how: str
    members: list[dict[str, Any]]
    scored: dict[str, Any]
    metrics: dict[str, float | None]
    gains: dict[str, Any]
    seconds: dict[str, float | None]

    @classmethod
    def read(cls, run: RunFolder) -> MergeResult:
        """Read the result of a merged run. Raises `ArtefactError` if its record is damaged."""
        record = RunRecord.read(run)
        merged = record.merged
        return cls(
            run.path,
            record.status,
            str(merged.get("how")),
            list(merged.get("members", ())),
            dict(merged.get("scored", {})),
            record.metrics,
            dict(merged.get("gains", {})),
            record.seconds,
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "run": str(self.run),
            "status": self.status,
            "how": self.how,
            "members": self.members,
            "scored": self.scored,
            "metrics": self.metrics,
            "gains": self.gains,
            "seconds": self.seconds,
        }
