"""Lookup of runs: from the RUN that a user types to a run folder."""

from __future__ import annotations

from pathlib import Path

from transfercli.errors import ArtefactError
from transfercli.io.bounded import read_json
from transfercli.reporting import Reporter
from transfercli.runs.champions import champion_of
from transfercli.runs.folder import RUN_ID, RunFolder
from transfercli.runs.record import status_of
from transfercli.runs.untrusted import check_closed, is_neighbour
from transfercli.text import nearest


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


def find_named(text: str, runs: Path, reporter: Reporter) -> RunFolder:
    """As `find_run`; an experiment's name means its latest completed run, which its champion need not be.

    Whoever says EXPERIMENT after a night that rejected a challenger would take the challenger, so that is told.
    """
    run, name = find_run(text, runs), text.rstrip("/")
    champion = champion_of(runs / name) if is_experiment(name, runs) else None
    if champion is not None and champion.run_id != run.run_id:
        reporter.warning(
            f"{name} means its latest completed run, {run.run_id}, and the champion is {champion.run_id}:"
            f" {name}@champion means that one"
        )
    return run
