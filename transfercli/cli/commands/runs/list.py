"""Command `transfercli runs list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from transfercli.cli import completion
from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_runs_list
from transfercli.cli.options import RUNS, Runs
from transfercli.cli.ui.tables import print_pairs, print_table
from transfercli.reporting import Reporter
from transfercli.text import duration

if TYPE_CHECKING:
    from transfercli.runs.decisions import Decision
    from transfercli.workflows.runs.runs import RunList

Experiment = Annotated[
    str | None,
    typer.Argument(
        metavar="EXPERIMENT", help="list only the runs of this experiment", autocompletion=completion.experiments
    ),
]


def _show_list(result: RunList) -> None:
    if not result.runs:
        print("no runs yet")
        return
    print_table(
        ("run", "status", "created", "val accuracy", "test accuracy", "time", "links"),
        [
            (
                f"{row.experiment}/{row.run_id}",
                row.status,
                (row.created or "-")[:19],
                row.val_accuracy,
                row.test_accuracy,
                "-" if row.total_seconds is None else duration(row.total_seconds),
                ", ".join(row.links),
            )
            for row in result.runs
        ],
        droppable=("created", "time"),  # the id contains the time
    )
    unfinished = {
        row.experiment: f"{row.run_id} was interrupted; go on: {row.resume}" for row in result.runs if row.resume
    }
    if unfinished:
        print()
        print_pairs(unfinished.items())
    if result.decisions:
        print()
        print_pairs((experiment, _decision(last)) for experiment, last in result.decisions.items())


def _decision(last: Decision) -> str:
    return f"champion {last.champion or 'none'}; last decided {last.time[:19]}, {last.decision}: {last.reason}"


@reports(_show_list, after_runs_list)
def list_(reporter: Reporter, experiment: Experiment = None, runs: Runs = RUNS) -> RunList:
    """List all runs by experiment, the oldest first.

    Example: transfercli runs list flowers
    """
    from transfercli.workflows.runs.runs import list_runs

    return list_runs(runs, experiment)
