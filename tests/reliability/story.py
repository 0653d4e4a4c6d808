"""A run without a network: everything that writes is the program's own, and what trains is an addition.

It begins, trains and ends as a run does, so that hundreds of them can be broken in a second.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from transfercli.io import atomic
from transfercli.reporting import Reporter
from transfercli.runs import record
from transfercli.runs.folder import RunFolder
from transfercli.runs.listing import update_latest_link
from transfercli.training import history
from transfercli.training.checkpoints import Checkpoint, Checkpoints
from transfercli.training.progress import Progress
from transfercli.workflows.train.train import train_epochs

EPOCHS = 4
LOSSES = (5.0, 3.0, 4.0, 2.0)  # the best so far are the epochs 1, 2 and 4
FROZEN = frozenset({"base/frozen"})


class Adder:
    """Trains: each epoch's weights follow from those before it and from its number, so that one too many shows."""

    def __init__(self, run: RunFolder, checkpoints: Checkpoints, attempt: int) -> None:
        self.run_folder, self.checkpoints, self.attempt = run, checkpoints, attempt
        self.progress, self.weights = Progress(), np.zeros(40, "float32")
        self.best: np.ndarray | None = None
        self.trained: list[int] = []

    def resume(self, last: Checkpoint, best: Checkpoint) -> None:
        self.progress, self.weights = Progress(**last.progress), last.model["head/weights"]
        self.best = best.model["head/weights"]

    def run(self) -> None:
        while self.progress.epoch < EPOCHS:
            self.step(self.progress.epoch + 1)

    def step(self, epoch: int) -> None:
        self.trained.append(epoch)
        self.weights = self.weights * np.float32(1.5) + np.float32(epoch)
        progress, loss = self.progress, LOSSES[epoch - 1]
        progress.epoch, progress.line = epoch, {"phase": 1, "epoch": epoch, "val_loss": loss, "seconds": self.attempt}
        is_best = progress.best_value is None or -loss > progress.best_value
        if is_best:
            progress.best_value, progress.best_epoch, self.best = -loss, epoch, self.weights
        model = {"base/frozen": np.arange(9, dtype="float32"), "head/weights": self.weights}
        state = {"00000/momentum": self.weights * 2}
        self.checkpoints.save(epoch, Checkpoint(model, state, asdict(progress)), is_best=is_best)
        history.append(self.run_folder.metrics, progress.line)


def play(folder: Path, attempt: int = 1, reporter: Reporter | None = None) -> Adder:
    """Begin the run, or go on with it, and train it to its end."""
    run = RunFolder(folder / "experiment" / "run")
    for place in (run.path.parent, run.path, run.checkpoints):
        atomic.remove_temporaries(place)
    if not run.record.exists():
        atomic.make_folder(run.path)
        atomic.write_json(run.labels, ["a", "b"])
        data = {"fingerprint": "", "images": {}}
        record.create(run, {"command": "finetune", "config_folder": ".", "versions": {}, "data": data})
    checkpoints = Checkpoints(run.checkpoints, FROZEN)
    adder = Adder(run, checkpoints, attempt)
    job: Any = SimpleNamespace(run=run)
    setup: Any = SimpleNamespace(checkpoints=checkpoints, trainer=adder, plan=SimpleNamespace(epochs=EPOCHS))
    with record.recording_status(run):
        train_epochs(job, setup, reporter or Reporter())
        record.update(run, status="completed")
    update_latest_link(run)
    return adder


def run_of(folder: Path) -> RunFolder:
    return RunFolder(folder / "experiment" / "run")


def whole_lines(run: RunFolder) -> list[str]:
    """The lines of the history that were written to their end."""
    if not run.metrics.exists():
        return []
    return [line for line in run.metrics.read_text().splitlines(keepends=True) if line.endswith("\n")]


def whole_epochs(run: RunFolder) -> list[int]:
    """The epochs whose checkpoint stands."""
    return sorted(int(path.parent.name[-5:]) for path in run.checkpoints.glob("epoch-*/manifest.json"))
