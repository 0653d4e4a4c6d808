"""`runs prune`: old runs go, and what anything still needs stays."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError, BusyError, UsageError
from transfercli.io import atomic
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.runs.lock import experiment_lock
from transfercli.runs.lookup import all_runs, is_experiment
from transfercli.runs.record import status_of
from transfercli.runs.retention import RetentionRule, folder_size, protected_runs, recent_runs
from transfercli.text import counted

GOING_ON = "it, or another run of its experiment, is going on"
GOING = ".pruned-"  # begins the name of a run that is being removed; no run can be called so


@dataclass(frozen=True)
class PruneRequest:
    """last, days: what stays, at least one of them named; experiments: all where none is named."""

    runs: Path
    experiments: tuple[str, ...] = ()
    last: int | None = None
    days: float | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class Kept:
    """A run that stays, and the reason."""

    run: Path
    why: str


@dataclass(frozen=True)
class PruneResult:
    """Run folders that were removed, or would be in a dry run, and those that stay. bytes: size of the first."""

    removed: tuple[Path, ...]
    kept: tuple[Kept, ...]
    bytes: int
    dry_run: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "removed": [str(run) for run in self.removed],
            "kept": [{"run": str(kept.run), "why": kept.why} for kept in self.kept],
            "bytes": self.bytes,
            "dry_run": self.dry_run,
        }


def prune(request: PruneRequest, reporter: Reporter) -> PruneResult:
    """Remove the runs that no rule keeps and that nothing needs.

    The lock of every experiment that may lose runs is held meanwhile, so none of its runs can be going on. One that
    another process holds is passed over with all its runs, or is a `BusyError` where it was named. A dry run takes no
    lock, as a start beside it would find it held: there a run that says it is running counts as going on.
    """
    if request.last is None and request.days is None:
        raise UsageError("runs prune needs --keep-last, --keep-days or both", "such as --keep-last 10 --keep-days 30")
    for name in request.experiments:
        if not is_experiment(name, request.runs):
            raise ArtefactError(f"there is no experiment {name!r} under {request.runs}", "see runs list")
    experiments = _experiments(request)
    with ExitStack() as locks:
        held = [] if request.dry_run else [one for one in experiments if _locked(one, request, locks)]
        for experiment in held:
            _sweep(experiment)
        removed, kept = _decided(request, {one.name for one in experiments} - {one.name for one in held})
        size = sum(folder_size(run.path) for run in removed)
        if not request.dry_run:
            for number, run in enumerate(removed):
                reporter.progress("prune", number, len(removed), "runs")
                _remove(run)
    reporter.info(f"{counted(len(removed), 'run')} {'would be ' * request.dry_run}removed, {len(kept)} kept")
    return PruneResult(tuple(run.path for run in removed), tuple(kept), size, request.dry_run)


def _experiments(request: PruneRequest) -> list[Path]:
    if request.experiments:
        return [request.runs / name for name in dict.fromkeys(request.experiments)]
    return sorted(
        {run.path.parent for run in all_runs(request.runs)} | {path.parent for path in request.runs.glob(f"*/{GOING}*")}
    )


def _locked(experiment: Path, request: PruneRequest, locks: ExitStack) -> bool:
    """Hold its lock from now on; False where another process does, and nobody named the experiment."""
    try:
        locks.enter_context(experiment_lock(experiment))
    except BusyError:
        if request.experiments:
            raise
        return False
    return True


def _decided(request: PruneRequest, unlocked: set[str]) -> tuple[list[RunFolder], list[Kept]]:
    """The runs that go, and those that stay, with why; unlocked: experiments in which a run may be going on."""
    rule = RetentionRule(request.last or 0, request.days or 0.0, datetime.now(UTC))
    named = [run for run in all_runs(request.runs) if not request.experiments or run.experiment in request.experiments]
    going = [run for run in named if run.experiment in unlocked]
    why = {run.label: GOING_ON for run in going if not request.dry_run or status_of(run) == "running"}
    why |= recent_runs(named, rule) | protected_runs(request.runs)
    removed = [run for run in named if run.label not in why]
    return removed, [Kept(run.path, why[run.label]) for run in named if run.label in why]


def _remove(run: RunFolder) -> None:
    """Take the run's name away at once, then its files: a kill in between leaves no half of a run."""
    going = run.path.with_name(GOING + run.path.name)
    run.path.rename(going)
    atomic.fsync_folder(going.parent)
    shutil.rmtree(going)


def _sweep(experiment: Path) -> None:
    """Remove what a killed prune left."""
    for leftover in experiment.glob(f"{GOING}*"):
        shutil.rmtree(leftover)
