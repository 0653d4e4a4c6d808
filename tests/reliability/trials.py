"""Runs of a second on sixty real digits, broken in real processes, and what must hold when they have gone on."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.reliability.zygote import Zygote
from tests.scenes import write_scenes
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.training.checkpoints import Checkpoints

CLASSES, IMAGES = "012", 20


PHASES = {
    "one": [{"unfreeze": "all", "epochs": 3}],
    "two": [{"unfreeze": "conv3", "epochs": 2}, {"unfreeze": "all", "epochs": 2}],
}


def write_world(folder: Path, digits: Path) -> None:
    """Sixty digits, and configs with all that a resume could forget: dropout, EMA, a schedule, stopping, phases.

    The config `labels` is like `one`, on scenes with several labels per image.
    """
    write_scenes(folder / "scenes", range(60))
    table = {"train": "scenes/labels.csv", "columns": {"label": "labels", "split": "none"}, "label_separator": ";"}
    for label in CLASSES:
        place = folder / "data" / label
        place.mkdir(parents=True)
        for file in sorted((digits / "train" / label).iterdir())[:IMAGES]:
            shutil.copy(file, place)
    for name, phases in (PHASES | {"labels": PHASES["one"]}).items():
        images = table if name == "labels" else {"train": "data"}
        config = {
            "name": name,
            "data": {**images, "image_size": 32, "batch_size": 8, "validation": 0.25, "test": None},
            "augmentation": {"preset": "light"},
            "model": {"base": "small_cnn", "weights": "none", "head": {"dropout": 0.2}},
            "transfer": {"phases": phases},
            "training": {
                "optimizer": {"name": "adamw", "ema": 0.9},
                "schedule": {"name": "cosine", "warmup_epochs": 0.5},
                "early_stopping": {"monitor": "val_loss", "patience": 3},
            },
            "compute": {"cache_dir": "cache", "precision": "float32"},
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))


@dataclass(frozen=True)
class Ending:
    """What a run ends with: files of tensors, where the links point, and the history without its clock."""

    tensors: dict[str, bytes]
    links: tuple[str, str]
    history: list[dict[str, Any]]


def run_of(folder: Path, label: str) -> RunFolder:
    """The run `EXPERIMENT/RUN_ID` of a world."""
    return RunFolder(folder / "runs" / label)


def start(zygote: Zygote, label: str, **more: Any) -> dict[str, Any]:
    """Start the run, or start it again."""
    experiment, _, run_id = label.partition("/")
    return zygote.run("pretrain", f"{experiment}.yaml", "--run-id", run_id, **more)


def ending_of(run: RunFolder) -> Ending:
    place = run.checkpoints
    files = {str(path.relative_to(place)): path.read_bytes() for path in sorted(place.glob("**/*.safetensors"))}
    links = (place / "best").readlink().name, (place / "last").readlink().name
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    clock = ("seconds", "images_per_second")
    return Ending(files, links, [{k: v for k, v in line.items() if k not in clock} for line in lines])


@dataclass(frozen=True)
class Kept:
    """What stood after a kill: whole lines of the history, and whole epochs."""

    lines: list[str]
    epochs: list[int]

    @staticmethod
    def of(run: RunFolder) -> Kept:
        text = run.metrics.read_text().splitlines(keepends=True) if run.metrics.exists() else []
        epochs = sorted(int(path.parent.name[-5:]) for path in run.checkpoints.glob("epoch-*/manifest.json"))
        return Kept([line for line in text if line.endswith("\n")], epochs)


def complaints(zygote: Zygote, label: str, wanted: Ending) -> list[str]:
    """Start a broken run again under its id; everything that is not as it must be."""
    run = run_of(zygote.folder, label)
    before = Kept.of(run)
    log = run.log.read_text() if run.log.exists() else ""
    done = start(zygote, label)
    if done["rc"] != 0:
        return [f"it does not go on: exit {done['rc']}: {done['stderr'][-500:]}"]
    found, after = ending_of(run), Kept.of(run).lines
    told = run.log.read_text()[len(log) :].splitlines() if run.log.exists() else []
    again = {int(line.split("/")[0][6:]) for line in told if line.startswith("epoch ")}
    checks = {
        "other tensors": found.tensors == wanted.tensors and found.links == wanted.links,
        "another history": found.history == wanted.history,
        "a line of the history changed": after[: len(before.lines)] == before.lines,
        f"whole epochs {before.epochs} trained again: {sorted(again)}": not again & set(before.epochs),
        "its record is not complete": json.loads(run.record.read_text())["status"] == "completed",
        "leftovers": not [path for path in run.path.rglob(".*") if path.name.endswith(".tmp")],
    }
    return [trouble for trouble, holds in checks.items() if not holds]


def check_random_kills(zygote: Zygote, experiment: str, count: int, draw: random.Random) -> list[str]:
    """Kill runs at random moments and start them again; every complaint."""
    whole = start(zygote, f"{experiment}/whole")
    wanted = ending_of(run_of(zygote.folder, f"{experiment}/whole"))
    found = []
    for trial in range(count):
        label = f"{experiment}/random-{trial}"
        moment = draw.uniform(0, whole["seconds"])
        start(zygote, label, signals=[(moment, signal.SIGKILL)])
        found += [f"killed after {moment:.3f} s: {trouble}" for trouble in complaints(zygote, label, wanted)]
        shutil.rmtree(run_of(zygote.folder, label).path)
    return found


def calls_of(zygote: Zygote, experiment: str) -> list[tuple[str, str]]:
    """What a run asks of the disk below `runs`, as it begins with a cache that has its images."""
    label = f"{experiment}/counted"
    start(zygote, label)
    shutil.rmtree(run_of(zygote.folder, label).path)
    start(zygote, label, fault=("let", 0, str(zygote.folder / "runs")))
    return [(kind, path) for kind, path in json.loads((zygote.folder / ".seen.json").read_text())]


def check_kills_at_calls(zygote: Zygote, experiment: str, calls: Iterable[tuple[int, str]]) -> list[str]:
    """Kill a run before each of some calls, and half way through where it is a write; every complaint."""
    start(zygote, f"{experiment}/whole")
    wanted = ending_of(run_of(zygote.folder, f"{experiment}/whole"))
    found = []
    for at, kind in calls:
        for act in ("kill", "kill_half_way") if kind == "write" else ("kill",):
            label = f"{experiment}/{act}-{at}"
            broken = start(zygote, label, fault=(act, at, str(zygote.folder / "runs")))
            if broken["rc"] != -signal.SIGKILL:
                found.append(f"{act} at {at}: it was not killed, but ended with {broken['rc']}")
                continue
            found += [f"{act} at {at} ({kind}): {trouble}" for trouble in complaints(zygote, label, wanted)]
            shutil.rmtree(run_of(zygote.folder, label).path)
    return found


def check_full_disk(zygote: Zygote, experiment: str, count: int, draw: random.Random) -> list[str]:
    """Fill the file system of the world to its last byte at random moments of a run; every complaint.

    A run must end with exit 8, or be done; the newest whole epoch must load; and once there is room it goes on.
    """
    whole = start(zygote, f"{experiment}/whole")
    wanted, filler = ending_of(run_of(zygote.folder, f"{experiment}/whole")), zygote.folder / "filler"
    found = []
    for trial in range(count):
        label = f"{experiment}/full-{trial}"
        timer = threading.Timer(draw.uniform(0, whole["seconds"]), fill, [filler])
        timer.start()
        done = start(zygote, label)
        timer.join()
        filler.unlink()
        trouble = [] if done["rc"] in (0, 8) else [f"exit {done['rc']}: {done['stderr'][-300:]}"]
        run = run_of(zygote.folder, label)
        epochs = Kept.of(run).epochs
        if epochs and Checkpoints(run.checkpoints).newest(Reporter())[0].progress["epoch"] != epochs[-1]:
            trouble.append(f"epoch {epochs[-1]} does not load")
        if run.record.exists():
            json.loads(run.record.read_text())
        trouble += complaints(zygote, label, wanted)
        found += [f"full-{trial}: {one}" for one in trouble]
        shutil.rmtree(run.path)
    return found


def fill(file: Path) -> None:
    """Take all that is left of a file system."""
    block = b"\0" * 2**20
    with file.open("wb", buffering=0) as opened, contextlib.suppress(OSError):
        while True:
            if opened.write(block) < len(block):
                block = block[:4096]
