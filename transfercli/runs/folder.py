"""Every path of a run, once; and how a user's RUN becomes a run folder."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from transfercli.config.registries import nearest
from transfercli.errors import ArtefactError, UsageError
from transfercli.io import atomic
from transfercli.runs.untrusted import check_closed, checked_record, is_neighbour, read_json

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


def read_record(run: RunFolder) -> dict[str, Any]:
    """`run.json`, with what others rely on; `ArtefactError` where it is damaged."""
    return checked_record(read_json(run.record), run.record)


def status_of(run: RunFolder) -> str:
    facts = read_json(run.record)
    return str(facts.get("status", "unknown")) if isinstance(facts, dict) else "damaged"


def find_run(text: str, runs: Path) -> RunFolder:
    """The run that `text` names: a folder's path, EXPERIMENT, EXPERIMENT/RUN_ID or EXPERIMENT@champion.

    Raises `ArtefactError` that lists what is there instead.
    """
    run = _found(text, runs)
    check_closed(run.path)
    return run


def is_label(text: str) -> bool:
    """Whether a text is EXPERIMENT/RUN_ID, each of them a name that stays inside the runs folder."""
    return text.count("/") == 1 and all(_is_name(part) for part in text.split("/"))


def is_experiment(name: str, runs: Path) -> bool:
    """Whether an experiment of that name has a folder under `runs`."""
    return _is_name(name) and (runs / name).is_dir()


def _is_name(text: str) -> bool:
    return RUN_ID.fullmatch(text) is not None and set(text) != {"."}


def _found(text: str, runs: Path) -> RunFolder:
    places = [Path(text), *([runs / text] if is_label(text.rstrip("/")) else [])]
    for folder in places:
        if _is_run(folder):
            return RunFolder(folder)
    name, _, link = text.partition("@")
    experiment = runs / name.rstrip("/")
    if link not in ("", "champion", "latest"):
        raise ArtefactError(f"{text!r} names no run: after '@' only champion or latest is allowed")
    if not _is_name(name.rstrip("/")) or not experiment.is_dir():
        raise ArtefactError(f"no run {text!r} under {runs}", _what_is_there(name, runs))
    if link:
        return _linked(experiment, link)
    completed = [run for run in _runs_of(experiment) if status_of(run) == "completed"]
    if not completed:
        there = ", ".join(f"{run.path.name} ({status_of(run)})" for run in _runs_of(experiment)) or "none"
        raise ArtefactError(f"experiment {name!r} has no completed run under {runs}", f"runs there: {there}")
    return max(completed, key=_age)


def find_unfinished(text: str, runs: Path) -> RunFolder:
    """The run that `--resume` means: as `find_run`, but an experiment's name is its newest run that is not complete."""
    experiment = runs / text
    if not _is_name(text) or _is_run(Path(text)) or not experiment.is_dir():
        return find_run(text, runs)
    begun = [run for run in _runs_of(experiment) if status_of(run) != "completed"]
    if not begun:
        return find_run(text, runs)
    newest = max(begun, key=_age)
    check_closed(newest.path)
    return newest


def _age(run: RunFolder) -> tuple[str, str]:
    facts = read_json(run.record)
    return str(facts.get("created", "") if isinstance(facts, dict) else ""), run.path.name


def _is_run(folder: Path) -> bool:
    try:
        return (folder / "run.json").is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _linked(experiment: Path, link: str) -> RunFolder:
    place = experiment / link
    if not place.is_symlink() or not is_neighbour(str(place.readlink())) or not _is_run(place):
        raise ArtefactError(
            f"experiment {experiment.name!r} has no {link}", f"use {experiment.name} for its latest completed run"
        )
    return RunFolder(experiment / place.readlink())


def all_runs(runs: Path) -> list[RunFolder]:
    """Every run under `runs`, whatever its state: by experiment, the oldest first."""
    folders = sorted(path for path in runs.iterdir() if path.is_dir()) if runs.is_dir() else []
    return [run for folder in folders for run in _runs_of(folder)]


def _runs_of(experiment: Path) -> list[RunFolder]:
    folders = (path for path in experiment.iterdir() if path.is_dir() and not path.is_symlink() and path.name[0] != ".")
    return [RunFolder(path) for path in sorted(folders) if _is_run(path)]


def _what_is_there(name: str, runs: Path) -> str:
    folders = sorted(runs.iterdir()) if runs.is_dir() else []
    experiments = tuple(path.name for path in folders if path.is_dir() and _runs_of(path))
    if not experiments:
        return f"{runs} holds no runs yet: train one with pretrain or finetune, or pass --runs"
    head = name.split("/")[0]
    if head in experiments:
        found = ", ".join(run.path.name for run in _runs_of(runs / head)) or "none"
        return f"runs of {head}: {found}"
    near = nearest(head, experiments)
    return (f"did you mean {near!r}? " if near else "") + f"experiments there: {', '.join(experiments)}"
