"""Members of a merge: the runs that a user names, and the reasons why they cannot become one model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transfercli.config.schema import FileWeights, HubWeights, RunWeights
from transfercli.errors import ArtefactError, UsageError
from transfercli.reporting import Reporter
from transfercli.runs.listing import resume_command
from transfercli.text import first_of
from transfercli.workflows.resolved_config import geometry_of
from transfercli.workflows.series.stored_series import find_series
from transfercli.workflows.stored_run import StoredRun

FEWEST = 2
TRAINING_ONLY = ("init", "dropout")  # keys of a head that change no answer of a trained one


def find_members(names: Sequence[str], runs: Path, reporter: Reporter) -> list[StoredRun]:
    """Return the runs that are named; a series (EXPERIMENT/ID of `finetune --folds`) stands for all of its runs.

    Raises `UsageError` if they are fewer than two, or one is named twice, `ArtefactError` if a run is missing, not
    completed, or an average of several models itself.
    """
    named = [(name, member) for name in names for member in _runs_of(name, runs, reporter)]
    members = [member for _, member in named]
    folders = [os.path.realpath(member.path) for member in members]
    for number, folder in enumerate(folders):
        if folder in folders[:number]:
            label = members[number].label
            raise UsageError(f"{label} is named twice, the second time as {named[number][0]}", "name each run once")
    if len(members) < FEWEST:
        raise UsageError(f"{len(members)} run is named, and a merge takes two or more", "name another run")
    for member in members:
        _check_mergeable(member)
    return members


def _runs_of(name: str, runs: Path, reporter: Reporter) -> list[StoredRun]:
    series = find_series(name, runs)
    return series.completed_runs(reporter) if series else [StoredRun.find(name, runs, reporter)]


def _check_mergeable(member: StoredRun) -> None:
    if member.status != "completed":
        raise ArtefactError(
            f"{member.label} is {member.status}; only completed runs can be merged",
            f"finish it with {resume_command(member.folder, member.path.parent.parent)}, or leave it out",
        )
    if member.config.model.members:
        inner = " ".join(each["run"] for each in member.record.members)
        raise ArtefactError(
            f"{member.label} is an average of several models itself, and cannot be a member of another",
            f"name the runs that it was made from: {inner}",
        )


def check_same_task(members: Sequence[StoredRun]) -> None:
    """Raise `ArtefactError` unless the members have the same task and classes, and read images in the same way."""
    first, *others = members
    for member in others:
        if member.config.task != first.config.task:
            raise _unlike(
                first, member, [f"task ({first.config.task} and {member.config.task})"], "name runs of one task"
            )
        if member.labels != first.labels:
            raise _unlike(
                first, member, _class_differences(first.labels, member.labels), "name runs of the same classes"
            )
        if differences := _reading_differences(first, member):
            raise _unlike(first, member, differences, "name runs that read images alike")


def check_same_network(members: Sequence[StoredRun]) -> None:
    """Raise `ArtefactError` unless the weights of the members can be averaged one by one.

    They must have the same base and head, and have started from the same weights. Those of a head without hidden layers
    may have started elsewhere, because its training has a single optimum.
    """
    first, *others = members
    for member in others:
        if differences := _network_differences(first, member):
            hint = "name runs of one base and head that started from the same weights, or use --how average"
            raise _unlike(first, member, differences, hint)


def _unlike(first: StoredRun, member: StoredRun, differences: Iterable[str], hint: str) -> ArtefactError:
    return ArtefactError(f"{first.label} and {member.label} differ in {'; '.join(differences)}", hint)


def _class_differences(ours: Sequence[str], theirs: Sequence[str]) -> Iterable[str]:
    """Yield the classes that only one of two runs has; if there are none, the order differs."""
    only = [label for label in ours if label not in theirs], [label for label in theirs if label not in ours]
    if any(only):
        yield f"classes: only the first has {_listed(only[0])}, only the second has {_listed(only[1])}"
    else:
        yield f"the order of their classes: {_listed(ours)} and {_listed(theirs)}"


def _listed(labels: Sequence[str], most: int = 5) -> str:
    return first_of(labels, most, written=repr) or "none"


def _reading_differences(first: StoredRun, member: StoredRun) -> list[str]:
    ours, theirs = (
        {**asdict(geometry_of(run.config)), "channels": run.config.data.channels} for run in (first, member)
    )
    return _pairs(ours, theirs, "data.")


def _network_differences(first: StoredRun, member: StoredRun) -> list[str]:
    found = _pairs(_network_of(first), _network_of(member), "model.")
    if first.config.seed != member.config.seed and _starts_at_random(first):
        found.append(f"seed ({first.config.seed} and {member.config.seed}), from which their first weights follow")
    return found


def _network_of(run: StoredRun) -> dict[str, Any]:
    head = {
        f"head.{key}": value for key, value in run.config.model.head.model_dump().items() if key not in TRAINING_ONLY
    }
    head["head.taps"], head["head.normalisation"] = head["head.taps"] or [], head["head.normalisation"] or "none"
    return {"base": run.config.model.base, **head, "weights": _first_weights(run)}


def _first_weights(run: StoredRun) -> str:
    """Return text for the weights that a run started from; it is the same for the same weights."""
    weights, recorded = run.config.model.weights, run.record.weights
    if isinstance(weights, RunWeights):
        return f"run {run.record.parent or weights.run}"
    if isinstance(weights, (FileWeights, HubWeights)):
        return f"file {recorded.get('file')} with sha256 {str(recorded.get('sha256') or weights.sha256)[:12]}"
    return weights


def _starts_at_random(run: StoredRun) -> bool:
    """Return True if layers below the last one started from random weights: many orders of their units are as good."""
    return run.config.model.weights == "none" or bool(run.config.model.head.hidden)


def _pairs(ours: dict[str, Any], theirs: dict[str, Any], prefix: str) -> list[str]:
    return [f"{prefix}{key} ({ours[key]} and {theirs[key]})" for key in ours if ours[key] != theirs[key]]
