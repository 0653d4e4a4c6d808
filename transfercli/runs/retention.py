"""Which runs must stay when old ones go: champions, the one before, what they came from, and what is newest."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError
from transfercli.io.bounded import read_json
from transfercli.runs import champions, decisions
from transfercli.runs.decisions import PROMOTING
from transfercli.runs.folder import RunFolder
from transfercli.runs.lookup import all_runs


@dataclass(frozen=True)
class Rule:
    """last: the newest runs of an experiment that stay; days: younger runs stay; now: UTC."""

    last: int
    days: float
    now: datetime


def needed(runs: Path) -> dict[str, str]:
    """Label -> why, of every run under `runs` that must stay whatever the rule: of all experiments together."""
    everything = {run.label: run for run in all_runs(runs)}
    why: dict[str, str] = {}
    for name in dict.fromkeys(run.experiment for run in everything.values()):
        for label, reason in _pointed_at(runs / name):
            why.setdefault(label, reason)
    for label in list(why):
        for ancestor in _ancestors(label, everything):
            why.setdefault(ancestor, f"ancestor of {label}")
    return why


def kept_by_rule(found: Sequence[RunFolder], rule: Rule) -> dict[str, str]:
    """Label -> why, of the runs that are new enough; a run of unknown age counts as made when its folder changed."""
    why: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for run in sorted(found, key=created, reverse=True):
        seen[run.experiment] += 1
        if seen[run.experiment] <= rule.last:
            why[run.label] = f"one of the last {rule.last}"
        elif created(run) >= rule.now - timedelta(days=rule.days):
            why[run.label] = f"younger than {rule.days:g} days"
    return why


def created(run: RunFolder) -> datetime:
    """When the run was begun, UTC."""
    try:
        made = datetime.fromisoformat(str(_facts(run).get("created")))
    except ValueError:
        made = datetime.fromtimestamp(run.path.stat().st_mtime, UTC)
    return made if made.tzinfo else made.replace(tzinfo=UTC)


def _pointed_at(experiment: Path) -> Iterator[tuple[str, str]]:
    name = experiment.name
    if champion := champions.champion_of(experiment):
        yield f"{name}/{champion.run_id}", "champion"
    logged = [one.champion for one in decisions.read(experiment) if one.decision in PROMOTING and one.champion]
    if logged:  # not yet carried out, where a kill came between
        yield f"{name}/{logged[-1]}", "champion by the log of decisions"
    with suppress(ArtefactError):  # there is none
        yield f"{name}/{champions.before(experiment).run_id}", "champion before, for promote --previous"
    earlier = [one for one in logged if one != logged[-1]]
    if earlier:
        yield f"{name}/{earlier[-1]}", "champion before"
    if (latest := experiment / "latest").is_symlink():
        yield f"{name}/{latest.readlink()}", "latest"


def _ancestors(label: str, everything: dict[str, RunFolder]) -> Iterator[str]:
    seen = {label}
    while label in everything:
        parent = _facts(everything[label]).get("parent")
        if not isinstance(parent, str) or parent in seen:
            return
        seen.add(label := parent)
        yield label


def _facts(run: RunFolder) -> dict[str, Any]:
    """What is recorded of a run; nothing where the record is damaged."""
    try:
        facts = read_json(run.record)
    except ArtefactError:
        return {}
    return facts if isinstance(facts, dict) else {}


def bytes_of(folder: Path) -> int:
    """What a folder's files take, links not followed."""
    total = 0
    for place, _, names in os.walk(folder):
        total += sum((Path(place) / name).lstat().st_size for name in names)
    return total
