"""Workflow of `runs prune`: remove old runs, except those that are still needed."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError, BusyError, UsageError
from transfercli.io import atomic
from transfercli.io.file_sizes import folder_size
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.runs.listing import all_runs, present_status
from transfercli.runs.lock import experiment_lock
from transfercli.runs.lookup import is_experiment
from transfercli.runs.retention import RetentionRule, protected_runs, recent_runs
from transfercli.text import counted

RUNNING = "it, or another run of its experiment, is running"
REMOVAL_PREFIX = ".pruned-"  # of the name of a run that is being removed; no run id begins with a dot


@dataclass(frozen=True)
class PruneRequest:
    """Arguments of `runs prune`; at least one of `last` and `days` is needed.

    Attributes:
        experiments: experiments to prune; empty stands for all.
        last: number of newest runs to keep per experiment.
        days: age in days below which runs are kept.
        dry_run: True to remove nothing.
    """

    runs: Path
    experiments: tuple[str, ...] = ()
    last: int | None = None
    days: float | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class KeptRun:
    """Run that is kept, and the reason."""

    run: Path
    why: str


@dataclass(frozen=True)
class PruneResult:
    """Result of `runs prune`.

    Attributes:
        removed: run folders that were removed, or in a dry run would be.
        kept: runs that are kept.
        bytes: size of the removed runs.
    """

    removed: tuple[Path, ...]
    kept: tuple[KeptRun, ...]
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

    The locks of the experiments are held meanwhile, so none of their runs can be running. If another process holds the
    lock of an experiment, all its runs are kept. A dry run takes no lock, since another command that starts meanwhile
    would be refused; it keeps the runs that are running.

    Raises `UsageError` without a limit, `ArtefactError` if there is no such experiment, and `BusyError` if another
    process holds the lock of an experiment that was named.
    """
    if request.last is None and request.days is None:
        raise UsageError("runs prune needs --keep-last, --keep-days or both", "such as --keep-last 10 --keep-days 30")
    for name in request.experiments:
        if not is_experiment(name, request.runs):
            raise ArtefactError(f"there is no experiment {name!r} under {request.runs}", "see runs list")
    experiments = _experiments(request)
    with ExitStack() as locks:
        held = [] if request.dry_run else [path for path in experiments if _take_lock(path, request, locks)]
        for experiment in held:
            _remove_leftovers(experiment)
        not_held = {path.name for path in experiments} - {path.name for path in held}
        removed, kept = _select(request, not_held)
        size = sum(folder_size(run.path) for run in removed)
        if not request.dry_run:
            for done, run in enumerate(removed):
                reporter.progress("prune", done, len(removed), "runs")
                _remove(run)
    reporter.info(f"{counted(len(removed), 'run')} {'would be ' * request.dry_run}removed, {len(kept)} kept")
    return PruneResult(tuple(run.path for run in removed), tuple(kept), size, request.dry_run)


def _experiments(request: PruneRequest) -> list[Path]:
    """Return the folders of the experiments that were named, else of all."""
    if request.experiments:
        return [request.runs / name for name in dict.fromkeys(request.experiments)]
    leftovers = request.runs.glob(f"*/{REMOVAL_PREFIX}*")
    return sorted({run.path.parent for run in all_runs(request.runs)} | {path.parent for path in leftovers})


def _take_lock(experiment: Path, request: PruneRequest, locks: ExitStack) -> bool:
    """Take the lock of an experiment until `locks` is closed; return False if another process holds it.

    Raises `BusyError` instead if the experiment was named.
    """
    try:
        locks.enter_context(experiment_lock(experiment))
    except BusyError:
        if request.experiments:
            raise
        return False
    return True


def _select(request: PruneRequest, not_held: set[str]) -> tuple[list[RunFolder], list[KeptRun]]:
    """Return the runs to remove and those to keep. not_held: experiments whose lock is not held."""
    rule = RetentionRule(request.last or 0, request.days or 0.0, datetime.now(UTC))
    runs = [run for run in all_runs(request.runs) if not request.experiments or run.experiment in request.experiments]
    unlocked = [run for run in runs if run.experiment in not_held]
    reasons = {run.label: RUNNING for run in unlocked if not request.dry_run or present_status(run) == "running"}
    reasons |= recent_runs(runs, rule) | protected_runs(request.runs)
    removed = [run for run in runs if run.label not in reasons]
    return removed, [KeptRun(run.path, reasons[run.label]) for run in runs if run.label in reasons]


def _remove(run: RunFolder) -> None:
    """Rename a run, then delete its files: a kill in between leaves no incomplete run under its own name."""
    renamed = run.path.with_name(REMOVAL_PREFIX + run.path.name)
    run.path.rename(renamed)
    atomic.fsync_folder(renamed.parent)
    shutil.rmtree(renamed)


def _remove_leftovers(experiment: Path) -> None:
    """Remove the renamed runs that a killed `runs prune` left."""
    for leftover in experiment.glob(f"{REMOVAL_PREFIX}*"):
        shutil.rmtree(leftover)
