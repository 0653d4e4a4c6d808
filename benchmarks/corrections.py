"""Does a label review pay? Digits with wrong labels, decided on by a reviewer who is always right.

Usage: python -m benchmarks.corrections OUT.json [--share 0.1] [--seeds 3] [--decisions 50 150]

A share of the training images gets the label of another class at random; the test images keep theirs. A small network
is trained from scratch on them. Its review gives the queue "Likely wrong", and the reviewer decides on the first images
of it; then the same config is trained once more with `data.corrections`. For each seed, prints:

- truly wrong: how many of the first 50 images of the queue have a wrong label;
- accuracy on the test images before, and after each number of decisions.

The bound is a training on the true labels.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from transfercli.data.corrections.log import Decision, append_decisions
from transfercli.data.samples.writing import write_sample
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.evaluate.evaluate import evaluate_run
from transfercli.workflows.evaluate.request import EvaluateRequest
from transfercli.workflows.train.train import TrainRequest, train
from transfercli.workflows.ui.review.doubts import find_doubts
from transfercli.workflows.ui.review.queues import LIKELY

FIRST = 50  # of the queue


class Trial:
    """A folder with images of which some have wrong labels. truth: path -> label, of these."""

    def __init__(self, folder: Path, share: float, seed: int, epochs: int) -> None:
        self.folder, self.seed, self.epochs, self.runs = folder, seed, epochs, folder / "runs"
        write_sample("digits", folder / "images")
        rng, self.truth = np.random.default_rng(seed), dict[str, str]()
        files = sorted((folder / "images" / "train").rglob("*.png"))
        for number in rng.permutation(len(files))[: round(share * len(files))]:
            label = files[number].parent.name
            other = str((int(label) + int(rng.integers(1, 10))) % 10)
            moved = folder / "images" / "train" / other / f"moved-{files[number].name}"
            files[number].rename(moved)
            self.truth[moved.relative_to(folder / "images").as_posix()] = label

    def accuracy(self, name: str, corrections: Path | None = None) -> tuple[float, RunFolder]:
        """Train, and return the accuracy on the test images, with the run."""
        data: dict[str, Any] = {"train": "images", "image_size": 32}
        if corrections is not None:
            data["corrections"] = str(corrections)
        values = {
            "name": name,
            "seed": self.seed,
            "data": data,
            "model": {"base": "small_cnn", "weights": "none"},
            "training": {"epochs": self.epochs},
            "tracking": {"tensorboard": False},
        }
        config = self.folder / f"{name}.yaml"
        config.write_text(yaml.safe_dump(values))
        run = train(TrainRequest("pretrain", config, self.runs), Reporter()).as_json()["run"]
        found = evaluate_run(EvaluateRequest(str(run), self.runs), Reporter()).as_json()
        return float(found["metrics"]["accuracy"]), RunFolder(Path(run))

    def measure(self, decisions: Sequence[int]) -> dict[str, Any]:
        """Return the row of this trial."""
        before, run = self.accuracy("before")
        doubts = find_doubts(run, self.folder / "none.csv", Reporter())
        queue = [doubts.images[row] for row in doubts.queues[LIKELY]]
        row: dict[str, Any] = {
            "seed": self.seed,
            "wrong": len(self.truth),
            "listed": len(queue),
            "listed_wrong": sum(image.path in self.truth for image in queue),
            "first_wrong": sum(image.path in self.truth for image in queue[:FIRST]),
            "before": before,
        }
        for number in decisions:
            log = self.folder / f"decisions-{number}.csv"
            append_decisions(
                log,
                [
                    Decision(image.path, image.sha256, image.label, self.truth.get(image.path, image.label))
                    for image in queue[:number]
                ],
            )
            row[f"after_{number}"] = self.accuracy(f"after-{number}", log)[0]
        everything = self.folder / "truth.csv"
        with (run.dataset).open(newline="") as file:
            hashes = {record["path"]: record["sha256"] for record in csv.DictReader(file)}
        append_decisions(
            everything,
            [Decision(path, hashes[path], path.split("/")[1], label) for path, label in self.truth.items()],
        )
        row["bound"] = self.accuracy("bound", everything)[0]
        return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--decisions", type=int, nargs="+", default=[50, 150])
    options = parser.parse_args()
    rows = []
    for seed in range(options.seeds):
        folder = Path(tempfile.mkdtemp(prefix="corrections-"))
        try:
            rows.append(Trial(folder, options.share, seed, options.epochs).measure(options.decisions))
        finally:
            shutil.rmtree(folder)
        options.out.write_text(json.dumps(rows, indent=2) + "\n")
    columns = list(rows[0])
    print(f"| {' | '.join(columns)} |\n|{' ---: |' * len(columns)}")
    for row in rows:
        print(
            "| "
            + " | ".join(f"{row[name]:.4f}" if isinstance(row[name], float) else str(row[name]) for name in columns)
            + " |"
        )


if __name__ == "__main__":
    main()
