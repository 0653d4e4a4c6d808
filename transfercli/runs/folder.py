"""Every path of a run, once; and how a user's RUN becomes a run folder."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from transfercli.errors import UsageError
from transfercli.io import atomic

DEFAULT_RUNS = Path("runs")
RUN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
RESERVED = frozenset(
    {"latest", "champion", "splits.csv", "decisions.jsonl"}
)  # what else stands in an experiment's folder


@dataclass(frozen=True)
class RunFolder:
    """The folder `runs/EXPERIMENT/RUN_ID`; nothing here touches the disk."""

    path: Path

    @property
    def experiment(self) -> str:
        return Path(os.path.realpath(self.path)).parent.name

    @property
    def run_id(self) -> str:
        return Path(os.path.realpath(self.path)).name

    @property
    def label(self) -> str:
        """What a user types to name this run."""
        return f"{self.experiment}/{self.run_id}"

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def record(self) -> Path:
        return self.path / "run.json"

    @property
    def dataset(self) -> Path:
        return self.path / "dataset.csv"

    @property
    def pixels(self) -> Path:
        return self.path / "pixels.csv"

    @property
    def labels(self) -> Path:
        return self.path / "labels.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def history(self) -> Path:
        return self.path / "history.png"

    @property
    def batch(self) -> Path:
        return self.path / "batch.png"

    @property
    def transplant(self) -> Path:
        return self.path / "transplant.json"

    @property
    def calibration(self) -> Path:
        return self.path / "calibration.json"

    @property
    def slices(self) -> Path:
        return self.path / "slices.csv"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def exports(self) -> Path:
        return self.path / "exports"

    @property
    def evaluations(self) -> Path:
        return self.path / "evaluation"

    def evaluation(self, split: str) -> Path:
        return self.evaluations / split

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    def evaluation_events(self, name: str) -> Path:
        return self.tensorboard / f"evaluation-{name}"


def new_run_id(now: datetime | None = None, suffix: str = "") -> str:
    """`YYYYMMDD-HHMMSS-xxxxxx`, in UTC; the end is drawn where nobody gives it."""
    return f"{now or datetime.now(UTC):%Y%m%d-%H%M%S}-{suffix or secrets.token_hex(3)}"


def check_run_id(run_id: str) -> str:
    """A run id that may name a folder; `UsageError` where it may not."""
    if not RUN_ID.fullmatch(run_id) or run_id in RESERVED or run_id.startswith("."):
        raise UsageError(
            f"--run-id {run_id!r} cannot name a run folder",
            "use 1 to 64 letters, digits, '.', '_' or '-', not starting with '.', "
            f"and none of {', '.join(sorted(RESERVED))}",
        )
    return run_id


def splits_file(experiment: Path) -> Path:
    """Where an experiment keeps the side of every image it ever assigned."""
    return experiment / "splits.csv"


def decisions_file(experiment: Path) -> Path:
    """Where an experiment keeps what `retrain` and `promote` decided."""
    return experiment / "decisions.jsonl"


def lock_file(experiment: Path) -> Path:
    return experiment / ".lock"


def point_latest(run: RunFolder) -> None:
    atomic.point(run.path.parent / "latest", run.path.name)


def has_checkpoint(run: RunFolder) -> bool:
    """Whether an epoch was finished."""
    return (run.checkpoints / "last").is_symlink()


def remove_results(run: RunFolder) -> None:
    """Remove what was made from the run's model, which is about to change: its evaluations and exports."""
    for place in (run.evaluations, run.exports, *run.tensorboard.glob("evaluation-*")):
        if place.is_dir():
            shutil.rmtree(place)
