"""Lookup of runs: from the RUN that a user types to a run folder."""

from __future__ import annotations

from pathlib import Path

from transfercli.errors import ArtefactError
from transfercli.io.bounded import read_json
from transfercli.reporting import Reporter
from transfercli.runs.champions import champion_of
from transfercli.runs.folder import RUN_ID, RunFolder
from transfercli.runs.record import status_of
from transfercli.runs.untrusted import check_run_folder, is_sibling_name
from transfercli.text import nearest


def find_run(text: str, runs: Path) -> RunFolder:
    """Return the run for a path, EXPERIMENT, EXPERIMENT/RUN_ID, EXPERIMENT@champion or EXPERIMENT@latest.

    Raises `ArtefactError`, with the available runs as a hint, if there is no such run or its folder is not safe.
    """
    run = _resolve(text, runs)
    check_run_folder(run.path)
    return run


def is_label(text: str) -> bool:
    """Return True if a text has the form EXPERIMENT/RUN_ID; neither part can lead out of the runs folder."""
    return text.count("/") == 1 and all(_is_name(part) for part in text.split("/"))


def is_experiment(name: str, runs: Path) -> bool:
    """Return True if an experiment of that name has a folder under `runs`."""
    return _is_name(name) and (runs / name).is_dir()


def _is_name(text: str) -> bool:
    return RUN_ID.fullmatch(text) is not None and set(text) != {"."}


def _resolve(text: str, runs: Path) -> RunFolder:
    """Return the run for a text without a check of its folder's content."""
    folders = [Path(text), *([runs / text] if is_label(text.rstrip("/")) else [])]
    for folder in folders:
        if _is_run_folder(folder):
            return RunFolder(folder)
    name, _, link = text.partition("@")
    experiment = runs / name.rstrip("/")
    if link not in ("", "champion", "latest"):
        raise ArtefactError(f"{text!r} does not name a run: after '@' only champion or latest is allowed")
    if not _is_name(name.rstrip("/")) or not experiment.is_dir():
        raise ArtefactError(f"no run {text!r} under {runs}", _available_runs(name, runs))
    if link:
        return _linked_run(experiment, link)
    completed = [run for run in _runs_of(experiment) if status_of(run) == "completed"]
    if not completed:
        available = ", ".join(f"{run.path.name} ({status_of(run)})" for run in _runs_of(experiment)) or "none"
        raise ArtefactError(f"experiment {name!r} has no completed run under {runs}", f"runs there: {available}")
    return max(completed, key=_creation_order)


def find_run_to_resume(text: str, runs: Path) -> RunFolder:
    """Return the run for `--resume`: as `find_run`, but for EXPERIMENT its newest run that is not completed, if any."""
    experiment = runs / text
    if not _is_name(text) or _is_run_folder(Path(text)) or not experiment.is_dir():
        return find_run(text, runs)
    unfinished = [run for run in _runs_of(experiment) if status_of(run) != "completed"]
    if not unfinished:
        return find_run(text, runs)
    newest = max(unfinished, key=_creation_order)
    check_run_folder(newest.path)
    return newest


def _creation_order(run: RunFolder) -> tuple[str, str]:
    """Return a sort key: the recorded time of creation, then the folder's name."""
    content = read_json(run.record)
    return str(content.get("created", "") if isinstance(content, dict) else ""), run.path.name


def _is_run_folder(folder: Path) -> bool:
    try:
        return (folder / "run.json").is_file()
    except (OSError, ValueError):  # the text is not a possible file name
        return False


def _linked_run(experiment: Path, name: str) -> RunFolder:
    """Return the run that the experiment's link `champion` or `latest` points to."""
    link = experiment / name
    if not link.is_symlink() or not is_sibling_name(str(link.readlink())) or not _is_run_folder(link):
        raise ArtefactError(
            f"experiment {experiment.name!r} has no {name}", f"use {experiment.name} for its latest completed run"
        )
    return RunFolder(experiment / link.readlink())


def all_runs(runs: Path) -> list[RunFolder]:
    """Return every run under `runs`, of any status: by experiment, then by folder name."""
    folders = sorted(path for path in runs.iterdir() if path.is_dir()) if runs.is_dir() else []
    return [run for folder in folders for run in _runs_of(folder)]


def _runs_of(experiment: Path) -> list[RunFolder]:
    folders = (path for path in experiment.iterdir() if path.is_dir() and not path.is_symlink() and path.name[0] != ".")
    return [RunFolder(path) for path in sorted(folders) if _is_run_folder(path)]


def _available_runs(name: str, runs: Path) -> str:
    """Return a hint: the runs of the experiment in `name`, or the experiments if there is none of that name."""
    folders = sorted(runs.iterdir()) if runs.is_dir() else []
    experiments = tuple(path.name for path in folders if path.is_dir() and _runs_of(path))
    if not experiments:
        return f"{runs} holds no runs yet: train one with pretrain or finetune, or pass --runs"
    experiment = name.split("/")[0]
    if experiment in experiments:
        run_ids = ", ".join(run.path.name for run in _runs_of(runs / experiment)) or "none"
        return f"runs of {experiment}: {run_ids}"
    near = nearest(experiment, experiments)
    return (f"did you mean {near!r}? " if near else "") + f"experiments there: {', '.join(experiments)}"


def find_run_and_warn(text: str, runs: Path, reporter: Reporter) -> RunFolder:
    """Return the run as `find_run` does; warn if EXPERIMENT is given and its latest completed run is not its champion.

    After `retrain` rejected a challenger, EXPERIMENT alone means that challenger, which a user may not expect.
    """
    run, name = find_run(text, runs), text.rstrip("/")
    champion = champion_of(runs / name) if is_experiment(name, runs) else None
    if champion is not None and champion.run_id != run.run_id:
        reporter.warning(
            f"{name} means its latest completed run, {run.run_id}, but its champion is {champion.run_id}:"
            f" use {name}@champion for the champion"
        )
    return run
