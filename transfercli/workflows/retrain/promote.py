"""`promote`: make a run the champion of its experiment by hand, or go back to the champion before."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError, UsageError
from transfercli.reporting import Reporter
from transfercli.runs import champions
from transfercli.runs.decisions import Decision
from transfercli.runs.folder import RunFolder
from transfercli.runs.lock import experiment_lock
from transfercli.runs.lookup import find_run, is_experiment


@dataclass(frozen=True)
class PromoteRequest:
    """run: as typed, or None; previous: the experiment whose champion is to go back, or None."""

    run: str | None
    previous: str | None
    runs: Path
    wait: float = 0.0


@dataclass(frozen=True)
class PromoteResult:
    """The champion of an experiment and the one before, as run folders. previous: None if there was no champion."""

    experiment: str
    champion: Path
    previous: Path | None

    def as_json(self) -> dict[str, Any]:
        return {
            "experiment": self.experiment,
            "champion": str(self.champion),
            "previous": str(self.previous) if self.previous else None,
        }


def promote(request: PromoteRequest, reporter: Reporter) -> PromoteResult:
    """Make a run the champion of its experiment; a run that is champion already stays so."""
    if (request.run is None) == (request.previous is None):
        raise UsageError("promote takes a RUN, or --previous EXPERIMENT", "name one of the two")
    named = _named(request)
    experiment = named.path.parent if named else request.runs / str(request.previous)
    with experiment_lock(experiment, request.wait):
        present = champions.apply_last_promotion(experiment)
        run = champions.require_completed(named or champions.previous_champion(experiment))
        if present is None or present.run_id != run.run_id:
            how, why = ("by hand", "promoted by hand") if named else ("rolled back", "went back to the champion before")
            champions.promote_run(
                experiment, Decision(how, why, run.run_id, facts={"previous": present and present.run_id})
            )
        else:
            reporter.info(f"{run.label} is the champion already")
    return PromoteResult(experiment.name, run.path, present.path if present else None)


def _named(request: PromoteRequest) -> RunFolder | None:
    """The run's own folder, not a link to it; None where the champion before is wanted."""
    if request.run is not None:
        found = find_run(request.run, request.runs)
        return RunFolder(found.path.parent / Path(os.path.realpath(found.path)).name)
    if not is_experiment(str(request.previous), request.runs):
        raise ArtefactError(f"there is no experiment {request.previous!r} under {request.runs}", "see runs list")
    return None
