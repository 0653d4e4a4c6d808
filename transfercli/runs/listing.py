"""Runs of experiments: all of them, the status that each has now, and the latest completed one.

`latest_completed` is the only definition of "latest": EXPERIMENT, EXPERIMENT@latest and the link `latest` follow it. A
run of a fold is never the latest: it did not learn from its fold, and exists to be judged by it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError
from transfercli.io import atomic
from transfercli.io.bounded import read_json
from transfercli.runs.folder import RunFolder
from transfercli.runs.lock import held_since, run_held_since, shared_files_lock
from transfercli.runs.record import read_record, status_of, update
from transfercli.runs.untrusted import is_sibling_name

LATEST = "latest"  # name of the link
GOING_ON = "going_on"  # key of a run's record: the command that goes on with the sweep or series that it is a part of


def is_run_folder(folder: Path) -> bool:
    """Return True if a folder holds a record; False also for a text that cannot be a file name."""
    try:
        return (folder / "run.json").is_file()
    except (OSError, ValueError):
        return False


def runs_of(experiment: Path) -> list[RunFolder]:
    """Return every run of an experiment, of any status, by folder name."""
    try:
        entries = sorted(experiment.iterdir())
    except FileNotFoundError:  # removed meanwhile
        return []
    folders = (path for path in entries if path.is_dir() and not path.is_symlink() and path.name[0] != ".")
    return [RunFolder(path) for path in folders if is_run_folder(path)]


def all_runs(runs: Path) -> list[RunFolder]:
    """Return every run under `runs`, of any status: by experiment, then by folder name."""
    folders = sorted(path for path in runs.iterdir() if path.is_dir()) if runs.is_dir() else []
    return [run for folder in folders for run in runs_of(folder)]


def creation_order(run: RunFolder) -> tuple[str, str]:
    """Return a sort key: the recorded time of creation, then the folder's name."""
    return str(recorded(run).get("created", "")), run.path.name


# -- latest


def latest_completed(experiment: Path) -> RunFolder | None:
    """Return the run of an experiment that was completed last, None if there is none.

    The record's `completion` decides, which grows by one with every run that is completed, whatever the clock says and
    whenever the run was created. Among runs without it, which are older, the link decides if its run is completed, then
    the recorded time. Runs of folds, and those whose record is damaged, are left out.
    """
    linked = linked_name(experiment)

    def order(run: RunFolder) -> tuple[Any, ...]:
        finished = str(recorded(run).get("finished", ""))
        return _completion(run), run.path.name == linked, finished, *creation_order(run)

    return max(_completed_runs(experiment), key=order, default=None)


def next_completion(experiment: Path) -> int:
    """Return the `completion` of a run that is completed now; the lock must be held."""
    return 1 + max((_completion(run) for run in runs_of(experiment)), default=0)


def make_latest(run: RunFolder, facts: Mapping[str, Any] | None = None) -> None:
    """Make a completed run the latest one of its experiment, whenever it was completed.

    facts: keys of the record that are set at the same time, such as the status of a run that is completed now.
    """
    with shared_files_lock(run.path.parent):
        update(run, **(facts or {}), completion=next_completion(run.path.parent))
        update_latest_link(run)


def update_latest_link(run: RunFolder) -> None:
    """Point the link `latest` of the run's experiment to this run, atomically, unless it is of a fold."""
    if is_of_fold(run):
        return
    atomic.replace_symlink(run.path.parent / LATEST, run.path.name)


def _completed_runs(experiment: Path) -> Iterator[RunFolder]:
    return (run for run in runs_of(experiment) if _recorded_status(run) == "completed" and not is_of_fold(run))


def is_of_fold(run: RunFolder) -> bool:
    """Return True if a run is one fold of a cross-validation."""
    return isinstance(recorded(run).get("folds"), dict)


def linked_name(experiment: Path) -> str:
    """Return the name of the run that the link points to; "" without a link, or if it leads to another folder."""
    link = experiment / LATEST
    target = str(link.readlink()) if link.is_symlink() else ""
    return target if is_sibling_name(target) else ""


def _completion(run: RunFolder) -> int:
    number = recorded(run).get("completion")
    return number if isinstance(number, int) else 0


def recorded(run: RunFolder) -> dict[str, Any]:
    """Return the content of the run's record; empty if it is missing or damaged."""
    try:
        content = read_json(run.record)
    except ArtefactError:
        return {}
    return content if isinstance(content, dict) else {}


# -- status


def present_status(run: RunFolder) -> str:
    """Return running, completed, failed, interrupted, pruned, or damaged (`_recorded_status`).

    A process that was killed leaves the record at `running`. The run is interrupted then: the locks of the run and of
    its experiment are free, or their holder took them after the record was written. A failed run that its sweep ended
    early is pruned.
    """
    status = _recorded_status(run)
    if status == "failed" and "pruned" in recorded(run):
        return "pruned"
    return "interrupted" if status == "running" and not _is_running(run) else status


def _recorded_status(run: RunFolder) -> str:
    """Return the status in the record; damaged if there is none, or if the record of a completed run is not valid."""
    try:
        status = status_of(run)
        if status == "completed":
            read_record(run)
    except ArtefactError:
        return "damaged"
    return status


def _is_running(run: RunFolder) -> bool:
    try:
        changed = run.record.stat().st_mtime_ns
    except OSError:  # removed meanwhile
        return False
    return any(since is not None and changed >= since for since in (run_held_since(run), held_since(run.path.parent)))


def newest_unfinished(experiment: Path) -> RunFolder | None:
    """Return the newest run of an experiment that can be resumed; None if there is none."""
    runs = (run for run in runs_of(experiment) if present_status(run) in ("interrupted", "failed", "running"))
    return max(runs, key=creation_order, default=None)


def continue_command(run: RunFolder, runs: Path, workflow: str, epochs: int) -> str:
    """Return the command line that trains further epochs after a completed run."""
    words = ["transfercli", workflow, "--runs", str(runs), "--continue", run.label, "--epochs", str(epochs)]
    return shlex.join(words)


def resume_command(run: RunFolder, runs: Path, workflow: str | None = None) -> str:
    """Return the command line that resumes a run. workflow: as recorded if it is None.

    For a run that was stopped as a part of a sweep or a series, it is the command of the whole. For one that several
    processes train, it is the command of each of them: only the first one need see the folder of the run.
    """
    facts = recorded(run)
    if facts.get("status") in ("running", "interrupted") and (whole := _quoted(facts.get(GOING_ON))):
        return whole
    if processes_of(facts) > 1 and (first := _quoted(facts.get("command"))):
        return _with_run(first, run, runs)
    workflow = workflow or str(facts.get("workflow") or "finetune")
    return shlex.join(["transfercli", workflow, "--runs", str(runs), "--resume", run.label])


def processes_of(facts: Mapping[str, Any]) -> int:
    """Return the number of processes that train a run together, by the facts of its record."""
    distribution = facts.get("distribution")
    count = distribution.get("processes") if isinstance(distribution, dict) else None
    return count if isinstance(count, int) else 1


def _with_run(command: str, run: RunFolder, runs: Path) -> str:
    """Return a command line that trained a run, with the run's id and the folder of runs."""
    words = shlex.split(command)
    for option in ("--run-id", "--runs"):
        if option in words:
            at = words.index(option)
            del words[at : at + 2]
    return shlex.join([*words, "--runs", str(runs), "--run-id", run.path.name])


def _quoted(command: Any) -> str:
    """Return a recorded command line, quoted again as the record may come from someone else; "" if it is none."""
    try:
        words = shlex.split(command) if isinstance(command, str) and command.isprintable() else []
    except ValueError:
        words = []
    return shlex.join(words) if words[:1] == ["transfercli"] else ""
