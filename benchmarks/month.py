"""Simulation of a month of nightly `retrain` calls, with images that are added, changed and damaged, and with kills.

Usage: python -m benchmarks.month POOL SOURCE WORK [--nights 30] [--images 20] [--json OUT.json]

POOL is an image folder with train/CLASS and test/CLASS; its last class in alphabetical order is added on night 11.
SOURCE is an image folder of other classes; a small base is pretrained on its train folder first. The test images of
POOL are held back from `retrain`, and every new champion is evaluated on them. Prints a line per night and a summary.
The exit code is 1 if

- a champion's accuracy on the held-back images is below the confidence interval of the previous champion, if both have
  the same number of classes (falls),
- a test image of one run was trained on by another run (leaks),
- a night logged no decision (undecided),

or if a command ends with an unexpected exit code. The number of the night seeds all random choices.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

NEW_CLASS_NIGHT = 11
PROGRAM = (sys.executable, "-m", "transfercli")


@dataclass
class Simulation:
    """Images of the pool and of the experiment, and the results of each night.

    Attributes:
        pool, source: image folders.
        work: folder of the configs, the runs and the experiment's images.
        batch: images that are added per class and day.
        used: number of images of the pool that were added, by class.
        nights: results of each night.
        undo: functions that restore the images which were damaged or relabelled.
    """

    pool: Path
    source: Path
    work: Path
    batch: int
    used: dict[str, int] = field(default_factory=dict)
    nights: list[dict[str, Any]] = field(default_factory=list)
    undo: list[Callable[[], None]] = field(default_factory=list)

    @property
    def images(self) -> Path:
        return self.work / "images"

    @property
    def experiment(self) -> Path:
        return self.work / "runs" / "month"

    def classes(self, night: int) -> list[str]:
        """Return the classes of the pool that are in use on that night."""
        labels = sorted(path.name for path in (self.pool / "train").iterdir())
        return labels if night >= NEW_CLASS_NIGHT else labels[:-1]

    # -- changes to the images before a night

    def add_images(self, night: int, count: int | None = None) -> None:
        """Copy the next `count` images of each class from the pool."""
        for label in self.classes(night):
            start = self.used.get(label, 0)
            files = sorted((self.pool / "train" / label).iterdir())
            added = files[start : start + (count or self.batch)]
            self.used[label] = start + len(added)
            (self.images / label).mkdir(parents=True, exist_ok=True)
            for file in added:
                shutil.copy(file, self.images / label / file.name)

    def random_images(self, night: int, share: float) -> list[Path]:
        """Return a random share of the experiment's images."""
        files = sorted(self.images.glob("*/*"))
        indices = np.random.default_rng(night).permutation(len(files))[: int(share * len(files))]
        return [files[index] for index in indices]

    def remove_images(self, night: int) -> None:
        """Remove 5% of the images."""
        for file in self.random_images(night, 0.05):
            file.unlink()

    def relabel_images(self, night: int, share: float) -> None:
        """Move a share of the images to the next class; the next day moves them back."""
        labels = self.classes(night)
        for file in self.random_images(night, share):
            other = labels[(labels.index(file.parent.name) + 1) % len(labels)]
            moved = self.images / other / file.name
            file.rename(moved)
            self.undo.append(lambda moved=moved, file=file: moved.rename(file))  # type: ignore[misc]

    def truncate_images(self, night: int) -> None:
        """Cut 30% of the files to half their length; the next day restores them."""
        for file in self.random_images(night, 0.3):
            content = file.read_bytes()
            file.write_bytes(content[: len(content) // 2])
            self.undo.append(lambda file=file, content=content: file.write_bytes(content))  # type: ignore[misc]

    def restore_images(self) -> None:
        """Undo the damage of the day before."""
        for restore in self.undo:
            restore()
        self.undo.clear()

    # -- commands of a night

    def call(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command of the program in the work folder."""
        command = [*PROGRAM, *arguments]
        return subprocess.run(command, cwd=self.work, capture_output=True, text=True, check=False, **options)

    def retrain(self, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `retrain` to its end."""
        return self.call("retrain", "month.yaml", "--json", **options)

    def retrain_after_kill(self) -> subprocess.CompletedProcess[str]:
        """Start `retrain`, kill it during its training, and run it again."""
        process = subprocess.Popen(
            [*PROGRAM, "retrain", "month.yaml"], cwd=self.work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        before = set(self.experiment.glob("*/checkpoints"))
        while process.poll() is None and set(self.experiment.glob("*/checkpoints")) == before:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        return self.retrain()

    def retrain_twice_at_once(self) -> subprocess.CompletedProcess[str]:
        """Start `retrain` twice at once; return the result of the one with the lock, as the other ends with code 75."""
        first = subprocess.Popen(
            [*PROGRAM, "retrain", "month.yaml", "--json"], cwd=self.work, stdout=subprocess.PIPE, text=True
        )
        second = self.retrain()
        out, _ = first.communicate()
        codes = sorted((first.returncode, second.returncode))
        if codes[1] != 75:
            raise SystemExit(f"two calls at once ended with {codes}")
        output = out if first.returncode != 75 else second.stdout
        return subprocess.CompletedProcess([], codes[0], output, "")

    def retrain_after_full_disk(self) -> subprocess.CompletedProcess[str]:
        """Run `retrain` with files of at most 64 KiB, so that no checkpoint can be written, then without that limit."""

        def limit_file_size() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))

        process = self.retrain(preexec_fn=limit_file_size)
        if process.returncode != 8:
            raise SystemExit(f"a full disk ended with {process.returncode}: {process.stdout} {process.stderr[-500:]}")
        return self.retrain()

    # -- checks

    def evaluate_champion(self) -> dict[str, Any]:
        """Return the champion's accuracy on the held-back images of its classes, with its interval."""
        labels = json.loads((self.experiment / "champion" / "labels.json").read_text())
        folder = self.work / "held-back"
        shutil.rmtree(folder, ignore_errors=True)
        for label in labels:
            shutil.copytree(self.pool / "test" / label, folder / label)
        process = self.call("evaluate", "month@champion", "--data", "held-back", "--json")
        result = json.loads(process.stdout)
        accuracy, interval = result["metrics"]["accuracy"], result["intervals"]["accuracy"]
        return {"held_back": accuracy, "interval": interval, "classes": len(labels)}

    def count_leaks(self) -> int:
        """Return the number of test images of any run that a run used for training or validation."""
        import csv

        test, learning = set(), set()
        for file in self.experiment.glob("*/dataset.csv"):
            if not file.parent.is_symlink():
                for row in csv.DictReader(file.open(newline="")):
                    (test if row["split"] == "test" else learning).add(row["sha256"] if row["split"] else "")
        return len((test & learning) - {""})


def _change_nothing(simulation: Simulation, night: int) -> None:
    """Leave the images as they are."""


# Night -> change of the images before it, command, allowed exit codes; on all other nights images are added.
EVENTS: dict[int, tuple[Callable[[Simulation, int], None], Callable[[Simulation], Any], tuple[int, ...]]] = {
    3: (_change_nothing, Simulation.retrain, (0,)),
    5: (Simulation.remove_images, Simulation.retrain, (0, 5)),
    8: (lambda simulation, night: simulation.relabel_images(night, 0.02), Simulation.retrain, (0, 5)),
    14: (Simulation.truncate_images, Simulation.retrain, (4,)),
    17: (lambda simulation, night: simulation.relabel_images(night, 0.6), Simulation.retrain, (0, 5)),
    20: (Simulation.add_images, Simulation.retrain_after_kill, (0, 5)),
    23: (Simulation.add_images, Simulation.retrain_twice_at_once, (0, 5)),
    26: (Simulation.add_images, Simulation.retrain_after_full_disk, (0, 5)),
    28: (_change_nothing, Simulation.retrain, (0,)),
}


def prepare(simulation: Simulation) -> None:
    """Empty the work folder, write the configs, pretrain the base and add the first images."""
    shutil.rmtree(simulation.work, ignore_errors=True)
    simulation.work.mkdir(parents=True)
    configs = {
        "source.yaml": {
            "name": "source",
            "data": {"train": os.path.relpath(simulation.source / "train", simulation.work), "image_size": 32},
            "model": {"base": "small_cnn", "weights": "none"},
            "training": {"epochs": 4},
        },
        "month.yaml": {
            "name": "month",
            "data": {"train": "images", "validation": 0.15, "test": 0.3, "image_size": 32, "max_bad_fraction": 0.02},
            "model": {"base": "small_cnn", "weights": {"run": "source"}},
            "transfer": {"strategy": "linear_probe"},
            "export": {"formats": ["keras"]},
            "compute": {"cache_dir": "cache"},
        },
    }
    for name, config in configs.items():
        (simulation.work / name).write_text(yaml.safe_dump(config))
    process = simulation.call("pretrain", "source.yaml", "--json")
    if process.returncode:
        raise SystemExit(process.stderr)
    simulation.add_images(0, 2 * simulation.batch)


def run_night(simulation: Simulation, night: int) -> None:
    """Change the images, run the command of the night, and add and print its result."""
    simulation.restore_images()
    change, command, codes = EVENTS.get(night, (Simulation.add_images, Simulation.retrain, (0, 5)))
    if night > 1:
        change(simulation, night)
    before = _logged_decisions(simulation)
    started = time.perf_counter()
    process = command(simulation)
    seconds = time.perf_counter() - started
    code = process.returncode
    if code not in codes:
        raise SystemExit(f"night {night} ended with {code}: {process.stdout} {process.stderr[-800:]}")
    logged = _logged_decisions(simulation)[len(before) :]
    decision = logged[-1]["decision"] if logged else "none"
    result = {"night": night, "exit": code, "decision": decision, "decisions": len(logged), "seconds": seconds}
    result["images"] = sum(1 for _ in simulation.images.glob("*/*"))
    if decision in ("first", "promoted"):
        result |= simulation.evaluate_champion()
    simulation.nights.append(result)
    print(json.dumps(result), flush=True)


def _logged_decisions(simulation: Simulation) -> list[dict[str, Any]]:
    log = simulation.experiment / "decisions.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def summarize(simulation: Simulation) -> dict[str, Any]:
    """Return the numbers of decisions, the violations, and the accuracy of the first and the last champion."""
    champions = [night for night in simulation.nights if "held_back" in night]
    falls = [
        later["night"]
        for earlier, later in itertools.pairwise(champions)
        if later["classes"] == earlier["classes"] and later["held_back"] < earlier["interval"][0]
    ]
    decisions = [night["decision"] for night in simulation.nights]
    return {
        "nights": len(decisions),
        "decisions": {decision: decisions.count(decision) for decision in sorted(set(decisions))},
        "undecided": [night["night"] for night in simulation.nights if not night["decisions"]],
        "falls": falls,
        "leaks": simulation.count_leaks(),
        "held_back": [champions[0]["held_back"], champions[-1]["held_back"]],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pool", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--images", type=int, default=20, help="images that are added per class and day")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    simulation = Simulation(args.pool.resolve(), args.source.resolve(), args.work.resolve(), args.images)
    prepare(simulation)
    for night in range(1, args.nights + 1):
        run_night(simulation, night)
    summary = summarize(simulation)
    print(json.dumps(summary))
    if args.json:
        args.json.write_text(json.dumps({**summary, "each": simulation.nights}, indent=2))
    sys.exit(bool(summary["falls"] or summary["leaks"] or summary["undecided"]))


if __name__ == "__main__":
    main()
