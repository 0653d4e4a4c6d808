"""The run that a user's word means, and a warning where another one might have been meant."""

from __future__ import annotations

from pathlib import Path

from transfercli.reporting import Reporter
from transfercli.runs.champions import champion_of
from transfercli.runs.folder import RunFolder, find_run, is_experiment


def find_named(text: str, runs: Path, reporter: Reporter) -> RunFolder:
    """As `find_run`; an experiment's name means its latest completed run, which its champion need not be.

    Whoever says EXPERIMENT after a night that rejected a challenger would take the challenger, so that is told.
    """
    run, name = find_run(text, runs), text.rstrip("/")
    champion = champion_of(runs / name) if is_experiment(name, runs) else None
    if champion is not None and champion.run_id != run.run_id:
        reporter.warning(
            f"{name} means its latest completed run, {run.run_id}, and the champion is {champion.run_id}:"
            f" {name}@champion means that one"
        )
    return run
