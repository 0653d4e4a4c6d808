"""Results of `pretrain` and `finetune`: a trained run, or the cost estimate of `--dry-run`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.runs.folder import RunFolder
from transfercli.runs.record import RunRecord

if TYPE_CHECKING:
    from transfercli.training.phases import Unfreeze


# Metrics of the best epoch in a run's record, as far as its task has them.
KEPT_METRICS = ("val_mae", "val_r2", "val_accuracy", "val_loss", "val_map", "val_micro_f1", "val_macro_f1")


@dataclass(frozen=True)
class TrainResult:
    """A run and its results, from its record.

    Attributes:
        run: the run folder.
        metrics: metrics of the best epoch.
        seconds: seconds per stage of the command.
        cache: hits and misses of the image and feature caches.
        cross_validated: number of training and validation images whose predictions out of fold give `val_accuracy` and
            `val_loss`, as the model learnt from all of them; None if they are of the validation images.
        learnt_before: split -> number of its images by how an ancestor learnt from them, without zeros; None if a run
            of an earlier version did not record it.
        adaptation: decision on the use of auxiliary images; None without any.
    """

    run: Path
    status: str
    best_epoch: int | None
    metrics: dict[str, float | None]
    seconds: dict[str, float | None]
    cache: dict[str, Any]
    learnt_before: dict[str, dict[str, int]] | None = None
    adaptation: dict[str, Any] | None = None
    cross_validated: int | None = None

    @classmethod
    def read(cls, run: RunFolder) -> TrainResult:
        """Read the result of a run from its record. Raises `ArtefactError` if the record is damaged."""
        stored = RunRecord.read(run)
        metrics, seconds, before = stored.metrics, stored.seconds, stored.learnt_before
        return cls(
            run.path,
            stored.status,
            stored.best_epoch,
            metrics,
            seconds,
            stored.cache,
            before,
            adaptation=stored.adaptation,
            cross_validated=stored.cross_validated,
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "run": str(self.run),
            "status": self.status,
            "best_epoch": self.best_epoch,
            "metrics": self.metrics,
            "seconds": self.seconds,
            "cache": self.cache,
            "learnt_before": self.learnt_before,
            "adaptation": self.adaptation,
            "cross_validated": self.cross_validated,
        }


@dataclass(frozen=True)
class PhaseCost:
    """The estimated cost of one phase.

    Attributes:
        kind, unfreeze, epochs, learning_rate: of the phase.
        lora_rank: rank of low-rank adaptation, None without it.
        trained: number of parameters that train.
        train: seconds, compilation included.
        features: seconds that the features of the frozen layers take.
        cache_bytes: size of these features on disk.
    """

    kind: str
    unfreeze: Unfreeze
    epochs: int
    learning_rate: float
    train: float
    features: float
    cache_bytes: int
    lora_rank: int | None = None
    trained: int = 0


@dataclass(frozen=True)
class CostEstimate:
    """The result of `--dry-run`: the estimated cost of a training that is not started.

    Attributes:
        images: number of images per split.
        parameters: number of parameters of the model.
        run_bytes: the largest size of the run folder.
        peak_memory_bytes: of this process; None if the system does not report it.
        learnt_before: as in `TrainResult`.
        groups: number of independent groups per split; None if no image has one.
    """

    images: dict[str, int]
    classes: tuple[str, ...]
    parameters: int
    phases: tuple[PhaseCost, ...]
    run_bytes: int
    peak_memory_bytes: int | None
    learnt_before: dict[str, dict[str, int]] = field(default_factory=dict)
    groups: dict[str, int] | None = None

    @property
    def feature_seconds(self) -> float:
        return round(sum(phase.features for phase in self.phases), 1)

    @property
    def train_seconds(self) -> float:
        return round(sum(phase.train for phase in self.phases), 1)

    @property
    def cache_bytes(self) -> int:
        return sum(phase.cache_bytes for phase in self.phases)

    def as_json(self) -> dict[str, Any]:
        return {
            "run": None,
            "status": "dry-run",
            "images": self.images,
            "groups": self.groups,
            "classes": list(self.classes),
            "parameters": self.parameters,
            "phases": [asdict(phase) for phase in self.phases],
            "seconds": {"features": self.feature_seconds, "train": self.train_seconds},
            "cache_bytes": self.cache_bytes,
            "run_bytes": self.run_bytes,
            "peak_memory_bytes": self.peak_memory_bytes,
            "learnt_before": self.learnt_before,
        }


def total_cache_counts(counts: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Return the hits and misses of the image and feature caches over runs. counts: `cache` of each record."""
    found = list(counts)

    def total(cache: str, kind: str) -> int:
        return sum(int((each.get(cache) or {}).get(kind) or 0) for each in found)

    return {cache: {kind: total(cache, kind) for kind in ("hits", "misses")} for cache in ("images", "features")}
