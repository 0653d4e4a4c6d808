"""Run folders: every path of a run and of an experiment, defined once, and the form of run ids."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from transfercli.errors import UsageError

DEFAULT_RUNS = Path("runs")
RUN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Names of other entries in an experiment's folder.
RESERVED_NAMES = frozenset(
    {
        "latest",
        "champion",
        "splits.csv",
        "decisions.jsonl",
        "test-ledger.csv",
        "find-lr.png",
        "sweeps",
        "folds",
        "seeds",
        "corrections.csv",
    }
)


@dataclass(frozen=True)
class RunFolder:
    """The folder `runs/EXPERIMENT/RUN_ID` and the paths in it; the files need not exist."""

    path: Path

    @property
    def experiment(self) -> str:
        return Path(os.path.realpath(self.path)).parent.name

    @property
    def run_id(self) -> str:
        return Path(os.path.realpath(self.path)).name

    @property
    def label(self) -> str:
        """EXPERIMENT/RUN_ID, as typed on the command line."""
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
    def auxiliary(self) -> Path:
        """Unlabelled and related images, in the form of `dataset`; only of a run that has some."""
        return self.path / "auxiliary.csv"

    @property
    def corrections(self) -> Path:
        """Label decisions that the run used, as they were when its data was read; only of a run that has some."""
        return self.path / "corrections.csv"

    @property
    def pixels(self) -> Path:
        return self.path / "pixels.csv"

    @property
    def descriptors(self) -> Path:
        return self.path / "descriptors.npy"

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
    def held_out(self) -> Path:
        """Logits of the images that score the run."""
        return self.path / "held_out.safetensors"

    @property
    def unknown(self) -> Path:
        """The out-of-distribution score."""
        return self.path / "unknown.safetensors"

    @property
    def monitoring(self) -> Path:
        """The accuracy estimator that `monitor` learnt from known shifts; made anew if it is missing."""
        return self.path / "monitoring.safetensors"

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

    @property
    def pending_calls(self) -> Path:
        """Calls that the MLflow store has not taken yet."""
        return self.path / "mlflow-pending.jsonl"

    def evaluation_events(self, name: str) -> Path:
        return self.tensorboard / f"evaluation-{name}"


def new_run_id(now: datetime | None = None, suffix: str = "") -> str:
    """Return `YYYYMMDD-HHMMSS-xxxxxx`, in UTC; `xxxxxx` is `suffix` or random."""
    return f"{now or datetime.now(UTC):%Y%m%d-%H%M%S}-{suffix or secrets.token_hex(3)}"


def check_run_id(run_id: str) -> str:
    """Return the run id. Raises `UsageError` if it cannot be the name of a run folder."""
    if not RUN_ID.fullmatch(run_id) or run_id in RESERVED_NAMES or run_id.startswith("."):
        raise UsageError(
            f"--run-id {run_id!r} cannot name a run folder",
            "use 1 to 64 letters, digits, '.', '_' or '-', not starting with '.', "
            f"and none of {', '.join(sorted(RESERVED_NAMES))}",
        )
    return run_id


def splits_file(experiment: Path) -> Path:
    """Return the path of the file with the split of every image that the experiment ever assigned."""
    return experiment / "splits.csv"


def decisions_file(experiment: Path) -> Path:
    """Return the path of the log of decisions by `retrain` and `promote`."""
    return experiment / "decisions.jsonl"


def test_ledger_file(experiment: Path) -> Path:
    """Return the path of the file with the comparisons that each test image took part in."""
    return experiment / "test-ledger.csv"


def range_test_file(experiment: Path) -> Path:
    """Return the path of the picture of the last learning-rate range test."""
    return experiment / "find-lr.png"


def series_folder(experiment: Path, kind: str, series_id: str) -> Path:
    """Return the folder of a series of runs; kind: `folds` or `seeds`."""
    return experiment / kind / series_id


def lock_file(experiment: Path) -> Path:
    """Return the path of the file that a writer of the experiment locks."""
    return experiment / ".lock"


def shared_files_lock_file(experiment: Path) -> Path:
    """Return the path of the file that a writer of the files between the runs locks for a moment."""
    return experiment / ".files.lock"


def run_lock_file(run: RunFolder) -> Path:
    """Return the path of the file that the writer of one run locks, beside other runs that train at the same time."""
    return run.path.parent / f".{run.path.name}.lock"


def has_checkpoint(run: RunFolder) -> bool:
    """Return True if the run finished an epoch and so has a checkpoint."""
    return (run.checkpoints / "last").is_symlink()


def remove_results(run: RunFolder) -> None:
    """Remove evaluations and exports of the run, because its model is about to change."""
    for folder in (run.evaluations, run.exports, *run.tensorboard.glob("evaluation-*")):
        if folder.is_dir():
            shutil.rmtree(folder)
