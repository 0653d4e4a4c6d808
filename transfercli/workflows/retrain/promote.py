"""Workflow of `promote`: make a run the champion of its experiment by hand, or restore the previous champion."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError, UsageError
from transfercli.reporting import Reporter
from transfercli.runs import champions, decisions
from transfercli.runs.decisions import Decision
from transfercli.runs.folder import RunFolder
from transfercli.runs.lock import experiment_lock
from transfercli.runs.lookup import find_run, is_experiment
from transfercli.workflows.command_lines import command_line
from transfercli.workflows.retrain.champion_figures import ChampionFigures, champion_figures


@dataclass(frozen=True)
class PromoteRequest:
    """Arguments of `promote`, exactly one of the first two.

    Attributes:
        run: RUN of the command line, or None.
        previous: experiment whose previous champion is restored, or None.
        wait: seconds to wait for the experiment's lock.
    """

    run: str | None
    previous: str | None
    runs: Path
    wait: float = 0.0


@dataclass(frozen=True)
class PromoteResult:
    """Run folders of an experiment's champion and of the champion before the command, None if there was none.

    figures: of both; None if the champion did not change, or if there was none before.
    """

    experiment: str
    champion: Path
    previous: Path | None
    figures: ChampionFigures | None = None

    @property
    def changed(self) -> bool:
        """False if the run was the champion already."""
        return self.previous is None or self.previous.name != self.champion.name

    def as_json(self) -> dict[str, Any]:
        return {
            "experiment": self.experiment,
            "champion": str(self.champion),
            "previous": str(self.previous) if self.previous else None,
            **(self.figures.as_json() if self.figures else {"figures": None, "comparison": None, "worse": False}),
        }


def promote(request: PromoteRequest, reporter: Reporter) -> PromoteResult:
    """Make a run the champion of its experiment; change nothing if it is the champion already.

    Warns if the run was significantly worse than the champion that it replaces.

    Raises `UsageError` unless exactly one of run and previous is given, `ArtefactError` if the run is missing or not
    completed, and `BusyError` if another process holds the lock.
    """
    if (request.run is None) == (request.previous is None):
        raise UsageError("promote needs either a RUN or --previous EXPERIMENT", "name one of the two")
    named_run = _named_run(request)
    experiment = named_run.path.parent if named_run else request.runs / str(request.previous)
    figures = None
    with experiment_lock(experiment, request.wait):
        former = champions.apply_last_promotion(experiment)
        run = champions.require_completed(named_run or champions.previous_champion(experiment))
        if former is None or former.run_id != run.run_id:
            word, reason = (
                ("by hand", "promoted by hand") if named_run else ("rolled back", "restored the previous champion")
            )
            figures = champion_figures(run, former, decisions.read(experiment)) if former else None
            facts = {"previous": former and former.run_id, **(figures.as_json() if figures else {})}
            champions.promote_run(experiment, Decision(word, reason, run.run_id, facts=facts))
        else:
            reporter.info(f"{run.label} is the champion already")
    if former and figures and figures.worse:
        reporter.warning(
            f"{run.label} is significantly worse than {former.label}, the champion before: {figures.text}; to undo:"
            f" {command_line('promote', str(former.path))}"
        )
    return PromoteResult(experiment.name, run.path, former.path if former else None, figures)


def _named_run(request: PromoteRequest) -> RunFolder | None:
    """Return the folder of the run that was named, with links resolved; None for `--previous`."""
    if request.run is not None:
        run = find_run(request.run, request.runs)
        return RunFolder(run.path.parent / Path(os.path.realpath(run.path)).name)
    if not is_experiment(str(request.previous), request.runs):
        raise ArtefactError(f"there is no experiment {request.previous!r} under {request.runs}", "see runs list")
    return None
