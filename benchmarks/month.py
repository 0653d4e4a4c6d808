"""A month of nights: `retrain` is called as cron calls it, while its images grow, change and break, and it is killed.

usage: month.py POOL SOURCE WORK [--nights 30] [--images 20] [--json OUT.json]

POOL is an image folder with train/CLASS and test/CLASS; the last class in order of names joins on the eleventh night.
SOURCE is one of other classes, on whose train folder a small base is pretrained first. Test images of POOL are never
given to `retrain`: on them every new champion is judged. Prints a line a night and what was found; ends with 1 where

- a champion's accuracy on the images held back is below the interval of the one before of as many classes,
- an image is a test image in one run and was trained on in any other,
- a night left no decision, or another exit code than it must.

Everything is drawn from the number of the night, so a month repeats.
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
class Month:
    """The images that nobody has seen yet, those that `retrain` sees, and what every night came to."""

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
        found = sorted(path.name for path in (self.pool / "train").iterdir())
        return found if night >= NEW_CLASS_NIGHT else found[:-1]

    # -- what happens to the images by day

    def grow(self, night: int, count: int | None = None) -> None:
        for label in self.classes(night):
            begin = self.used.get(label, 0)
            files = sorted((self.pool / "train" / label).iterdir())
            taken = files[begin : begin + (count or self.batch)]
            self.used[label] = begin + len(taken)
            (self.images / label).mkdir(parents=True, exist_ok=True)
            for file in taken:
                shutil.copy(file, self.images / label / file.name)

    def some(self, night: int, share: float) -> list[Path]:
        """A share of the present images."""
        files = sorted(self.images.glob("*/*"))
        chosen = np.random.default_rng(night).permutation(len(files))[: int(share * len(files))]
        return [files[index] for index in chosen]

    def shrink(self, night: int) -> None:
        for file in self.some(night, 0.05):
            file.unlink()

    def relabel(self, night: int, share: float) -> None:
        """Some images get the class after their own, and get their own back on the next day."""
        labels = self.classes(night)
        for file in self.some(night, share):
            other = labels[(labels.index(file.parent.name) + 1) % len(labels)]
            moved = self.images / other / file.name
            file.rename(moved)
            self.undo.append(lambda moved=moved, file=file: moved.rename(file))  # type: ignore[misc]

    def corrupt(self, night: int) -> None:
        for file in self.some(night, 0.3):
            content = file.read_bytes()
            file.write_bytes(content[: len(content) // 2])
            self.undo.append(lambda file=file, content=content: file.write_bytes(content))  # type: ignore[misc]

    def mend(self) -> None:
        for step in self.undo:
            step()
        self.undo.clear()

    # -- what is called by night

    def call(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*PROGRAM, *words], cwd=self.work, capture_output=True, text=True, check=False, **more)

    def retrain(self, **more: Any) -> subprocess.CompletedProcess[str]:
        return self.call("retrain", "month.yaml", "--json", **more)

    def killed(self) -> subprocess.CompletedProcess[str]:
        """Killed in the middle of its training, and called again."""
        process = subprocess.Popen(
            [*PROGRAM, "retrain", "month.yaml"], cwd=self.work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        before = set(self.experiment.glob("*/checkpoints"))
        while process.poll() is None and set(self.experiment.glob("*/checkpoints")) == before:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        return self.retrain()

    def twice(self) -> subprocess.CompletedProcess[str]:
        """Two at once: one is busy."""
        first = subprocess.Popen(
            [*PROGRAM, "retrain", "month.yaml", "--json"], cwd=self.work, stdout=subprocess.PIPE, text=True
        )
        second = self.retrain()
        out, _ = first.communicate()
        codes = sorted((first.returncode, second.returncode))
        if codes[1] != 75:
            raise SystemExit(f"two at once ended with {codes}")
        winner = out if first.returncode != 75 else second.stdout
        return subprocess.CompletedProcess([], codes[0], winner, "")

    def full(self) -> subprocess.CompletedProcess[str]:
        """No file may grow above 64 KiB: no checkpoint can be written. Then there is room again."""

        def limit() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))

        done = self.retrain(preexec_fn=limit)
        if done.returncode != 8:
            raise SystemExit(f"a full disk ended with {done.returncode}: {done.stdout} {done.stderr[-500:]}")
        return self.retrain()

    # -- what must hold

    def held_back(self) -> dict[str, Any]:
        """The champion's accuracy on images that `retrain` never sees, of the classes that it knows."""
        labels = json.loads((self.experiment / "champion" / "labels.json").read_text())
        place = self.work / "held-back"
        shutil.rmtree(place, ignore_errors=True)
        for label in labels:
            shutil.copytree(self.pool / "test" / label, place / label)
        done = self.call("evaluate", "month@champion", "--data", "held-back", "--json")
        result = json.loads(done.stdout)
        accuracy, interval = result["metrics"]["accuracy"], result["intervals"]["accuracy"]
        return {"held_back": accuracy, "interval": interval, "classes": len(labels)}

    def leaks(self) -> int:
        """Test images of a run that some run has trained on or chosen its epoch by."""
        import csv

        tested, learnt = set(), set()
        for file in self.experiment.glob("*/dataset.csv"):
            if not file.parent.is_symlink():
                for row in csv.DictReader(file.open(newline="")):
                    (tested if row["split"] == "test" else learnt).add(row["sha256"] if row["split"] else "")
        return len((tested & learnt) - {""})


def _nothing(month: Month, night: int) -> None:
    """No image comes or goes."""


# Night -> what happened by day, how `retrain` is called, and the exit codes that it may end with; other nights grow.
DAYS: dict[int, tuple[Callable[[Month, int], None], Callable[[Month], Any], tuple[int, ...]]] = {
    3: (_nothing, Month.retrain, (0,)),
    5: (Month.shrink, Month.retrain, (0, 5)),
    8: (lambda m, n: m.relabel(n, 0.02), Month.retrain, (0, 5)),
    14: (Month.corrupt, Month.retrain, (4,)),
    17: (lambda m, n: m.relabel(n, 0.6), Month.retrain, (0, 5)),
    20: (Month.grow, Month.killed, (0, 5)),
    23: (Month.grow, Month.twice, (0, 5)),
    26: (Month.grow, Month.full, (0, 5)),
    28: (_nothing, Month.retrain, (0,)),
}


def prepare(month: Month) -> None:
    shutil.rmtree(month.work, ignore_errors=True)
    month.work.mkdir(parents=True)
    write = {
        "source.yaml": {
            "name": "source",
            "data": {"train": os.path.relpath(month.source / "train", month.work), "image_size": 32},
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
    for name, config in write.items():
        (month.work / name).write_text(yaml.safe_dump(config))
    done = month.call("pretrain", "source.yaml", "--json")
    if done.returncode:
        raise SystemExit(done.stderr)
    month.grow(0, 2 * month.batch)


def live(month: Month, night: int) -> None:
    """A day and its night."""
    month.mend()
    day, call, codes = DAYS.get(night, (Month.grow, Month.retrain, (0, 5)))
    if night > 1:
        day(month, night)
    before = _lines(month)
    begun = time.perf_counter()
    done = call(month)
    seconds = time.perf_counter() - begun
    if done.returncode not in codes:
        raise SystemExit(f"night {night} ended with {done.returncode}: {done.stdout} {done.stderr[-800:]}")
    decided = _lines(month)[len(before) :]
    word = decided[-1]["decision"] if decided else "none"
    line = {"night": night, "exit": done.returncode, "decision": word, "decisions": len(decided), "seconds": seconds}
    line["images"] = sum(1 for _ in month.images.glob("*/*"))
    if word in ("first", "promoted"):
        line |= month.held_back()
    month.nights.append(line)
    print(json.dumps(line), flush=True)


def _lines(month: Month) -> list[dict[str, Any]]:
    file = month.experiment / "decisions.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def judge(month: Month) -> dict[str, Any]:
    champions = [line for line in month.nights if "held_back" in line]
    falls = [
        later["night"]
        for earlier, later in itertools.pairwise(champions)
        if later["classes"] == earlier["classes"] and later["held_back"] < earlier["interval"][0]
    ]
    words = [line["decision"] for line in month.nights]
    return {
        "nights": len(words),
        "decisions": {word: words.count(word) for word in sorted(set(words))},
        "undecided": [line["night"] for line in month.nights if not line["decisions"]],
        "falls": falls,
        "leaks": month.leaks(),
        "held_back": [champions[0]["held_back"], champions[-1]["held_back"]],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pool", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--images", type=int, default=20, help="that come by day, of each class")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    month = Month(given.pool.resolve(), given.source.resolve(), given.work.resolve(), given.images)
    prepare(month)
    for night in range(1, given.nights + 1):
        live(month, night)
    found = judge(month)
    print(json.dumps(found))
    if given.json:
        given.json.write_text(json.dumps({**found, "each": month.nights}, indent=2))
    sys.exit(bool(found["falls"] or found["leaks"] or found["undecided"]))


if __name__ == "__main__":
    main()
