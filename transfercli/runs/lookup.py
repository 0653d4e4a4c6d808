"""Lookup of runs: from the RUN that a user types to a run folder."""

from __future__ import annotations

from pathlib import Path

from transfercli.errors import ArtefactError
from transfercli.reporting import Reporter
from transfercli.runs.champions import champion_of
from transfercli.runs.folder import RUN_ID, RunFolder, series_folder
from transfercli.runs.listing import (
    LATEST,
    is_of_fold,
    is_run_folder,
    latest_completed,
    linked_name,
    newest_unfinished,
    present_status,
    resume_command,
    runs_of,
)
from transfercli.runs.untrusted import check_run_folder
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
        if folder.name == LATEST and folder.is_symlink() and (latest := latest_completed(folder.parent)):
            return latest
        if is_run_folder(folder):
            return RunFolder(folder)
    name, _, link = text.partition("@")
    experiment = runs / name.rstrip("/")
    if link not in ("", "champion", "latest"):
        raise ArtefactError(f"{text!r} does not name a run: after '@' only champion or latest is allowed")
    if not _is_name(name.rstrip("/")) or not experiment.is_dir():
        raise ArtefactError(f"no run {text!r} under {runs}", _runs_of_series(text, runs) or _available_runs(name, runs))
    if link == "champion":
        return _champion(experiment)
    if latest := latest_completed(experiment):
        return latest
    raise _no_completed_run(experiment, runs)


def find_run_to_resume(text: str, runs: Path) -> RunFolder:
    """Return the run for `--resume`: as `find_run`, but for EXPERIMENT its newest run that is not completed, if any."""
    experiment = runs / text
    if not _is_name(text) or is_run_folder(Path(text)) or not experiment.is_dir():
        return find_run(text, runs)
    newest = newest_unfinished(experiment)
    if newest is None:
        return find_run(text, runs)
    check_run_folder(newest.path)
    return newest


def _no_completed_run(experiment: Path, runs: Path) -> ArtefactError:
    """Return the error for an experiment without a completed run, with the line that resumes the newest one."""
    available = ", ".join(f"{run.path.name} ({present_status(run)})" for run in runs_of(experiment)) or "none"
    hint = None
    if unfinished := newest_unfinished(experiment):
        running = present_status(unfinished) == "running"
        advice = "wait for it" if running else f"go on with {resume_command(unfinished, runs)}"
        hint = f"{advice}; transfercli runs show {unfinished.label} shows it"
    elif folds := [run for run in runs_of(experiment) if is_of_fold(run)]:
        hint = (
            f"runs of folds are no final model: name one, such as {folds[-1].label}, make one model of all with"
            f" transfercli merge, or train one with transfercli finetune"
        )
    return ArtefactError(
        f"experiment {experiment.name!r} has no completed run under {runs}; runs there: {available}", hint
    )


def _champion(experiment: Path) -> RunFolder:
    champion = champion_of(experiment)
    if champion is None:
        raise ArtefactError(
            f"experiment {experiment.name!r} has no champion", f"use {experiment.name} for its latest completed run"
        )
    return champion


def _runs_of_series(text: str, runs: Path) -> str | None:
    """Return a hint if EXPERIMENT/ID names a series of runs, which only some commands take."""
    experiment, _, series_id = text.rstrip("/").partition("/")
    if not is_label(text.rstrip("/")):
        return None
    for kind in ("folds", "seeds"):
        if series_folder(runs / experiment, kind, series_id).is_dir():
            members = [
                run.label for run in runs_of(runs / experiment) if run.path.name.startswith(f"{series_id}-{kind[:4]}")
            ]
            return f"it names {kind}, which evaluate takes: here, name one of {', '.join(members)}"
    return None


def _available_runs(name: str, runs: Path) -> str:
    """Return a hint: the runs of the experiment in `name`, or the experiments if there is none of that name."""
    folders = sorted(runs.iterdir()) if runs.is_dir() else []
    experiments = tuple(path.name for path in folders if path.is_dir() and runs_of(path))
    if not experiments:
        return f"{runs} holds no runs yet: train one with pretrain or finetune, or pass --runs"
    experiment = name.split("/")[0]
    if experiment in experiments:
        run_ids = ", ".join(run.path.name for run in runs_of(runs / experiment)) or "none"
        return f"runs of {experiment}: {run_ids}"
    near = nearest(experiment, experiments)
    return (f"did you mean {near!r}? " if near else "") + f"experiments there: {', '.join(experiments)}"


def find_run_and_warn(text: str, runs: Path, reporter: Reporter) -> RunFolder:
    """Return the run as `find_run` does; warn if EXPERIMENT is given and may mean another run than the user expects.

    After `retrain` rejected a challenger, EXPERIMENT alone means that challenger. If the record of the run that the
    link `latest` points to is damaged, EXPERIMENT means an earlier run.
    """
    run, name = find_run(text, runs), text.rstrip("/")
    if not is_experiment(name, runs):
        return run
    linked = RunFolder(runs / name / linked_name(runs / name))
    if linked.record.exists() and present_status(linked) == "damaged":
        reporter.warning(f"the record of {linked.label}, the latest run, is damaged: {name} means {run.run_id}")
    champion = champion_of(runs / name)
    if champion is not None and champion.run_id != run.run_id:
        reporter.warning(
            f"{name} means its latest completed run, {run.run_id}, but its champion is {champion.run_id}:"
            f" use {name}@champion for the champion"
        )
    return run
