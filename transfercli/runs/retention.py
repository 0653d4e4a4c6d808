"""Retention of runs: those that `runs prune` keeps, with the reason: champions, ancestors, latest and recent runs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError
from transfercli.runs import champions, decisions
from transfercli.runs.decisions import PROMOTIONS
from transfercli.runs.folder import RunFolder
from transfercli.runs.listing import all_runs, latest_completed, recorded


@dataclass(frozen=True)
class RetentionRule:
    """Limits by number and age.

    Attributes:
        last: number of newest runs to keep per experiment.
        days: age in days below which runs are kept.
        now: the present time, UTC.
    """

    last: int
    days: float
    now: datetime


def protected_runs(runs: Path) -> dict[str, str]:
    """Return label -> reason of the runs of all experiments under `runs` that are kept whatever the rule."""
    by_label = {run.label: run for run in all_runs(runs)}
    reasons: dict[str, str] = {}
    for name in dict.fromkeys(run.experiment for run in by_label.values()):
        for label, reason in _protected_by_experiment(runs / name):
            reasons.setdefault(label, reason)
    for label in list(reasons):
        for ancestor in _ancestors(label, by_label):
            reasons.setdefault(ancestor, f"ancestor of {label}")
    return reasons


def recent_runs(runs: Sequence[RunFolder], rule: RetentionRule) -> dict[str, str]:
    """Return label -> reason of the runs that are recent enough for the rule."""
    reasons: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for run in sorted(runs, key=creation_time, reverse=True):
        counts[run.experiment] += 1
        if counts[run.experiment] <= rule.last:
            reasons[run.label] = f"one of the last {rule.last}"
        elif creation_time(run) >= rule.now - timedelta(days=rule.days):
            reasons[run.label] = f"younger than {rule.days:g} days"
    return reasons


def creation_time(run: RunFolder) -> datetime:
    """Return the time of creation, UTC: as recorded, or the modification time of the folder if none is recorded."""
    try:
        created = datetime.fromisoformat(str(recorded(run).get("created")))
    except ValueError:
        created = datetime.fromtimestamp(_modified(run.path), UTC)
    return created if created.tzinfo else created.replace(tzinfo=UTC)


def _modified(folder: Path) -> float:
    """Return the modification time of a folder, in seconds since 1970; the present time if it was removed meanwhile."""
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _protected_by_experiment(experiment: Path) -> Iterator[tuple[str, str]]:
    """Yield label and reason of the experiment's champion, of earlier champions and of its latest run."""
    name = experiment.name
    if champion := champions.champion_of(experiment):
        yield f"{name}/{champion.run_id}", "champion"
    log = decisions.read(experiment)
    promoted = [entry.champion for entry in log if entry.decision in PROMOTIONS and entry.champion]
    if promoted:  # a process that was killed may not have changed the link yet
        yield f"{name}/{promoted[-1]}", "champion by the log of decisions"
    with suppress(ArtefactError):  # raised if there is no previous champion
        yield f"{name}/{champions.previous_champion(experiment).run_id}", "previous champion, for promote --previous"
    earlier = [run_id for run_id in promoted if run_id != promoted[-1]]
    if earlier:
        yield f"{name}/{earlier[-1]}", "previous champion"
    if latest := latest_completed(experiment):
        yield f"{name}/{latest.run_id}", "latest"


def _ancestors(label: str, by_label: dict[str, RunFolder]) -> Iterator[str]:
    """Yield the labels of the runs that the run's weights came from, nearest first."""
    visited, waiting = {label}, [label] if label in by_label else []
    while waiting:
        for parent in _parents(recorded(by_label[waiting.pop(0)])):
            if isinstance(parent, str) and parent not in visited:
                visited.add(parent)
                yield parent
                waiting += [parent] if parent in by_label else []


def _parents(content: dict[str, Any]) -> list[Any]:
    """Return the parent in a run's record, and the members that it was merged from."""
    merged = content.get("merged")
    members = merged.get("members") if isinstance(merged, dict) else None
    of_members = (
        [member.get("run") for member in members if isinstance(member, dict)] if isinstance(members, list) else []
    )
    return [content.get("parent"), *of_members]
