"""Command `transfercli runs list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from transfercli.cli import completion
from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_runs_list
from transfercli.cli.options import RUNS, Json, Runs
from transfercli.cli.ui.run_table import print_runs, write_csv
from transfercli.errors import UsageError
from transfercli.reporting import Reporter

if TYPE_CHECKING:
    from transfercli.workflows.runs.leaderboard import RunList

Experiment = Annotated[
    str | None,
    typer.Argument(
        metavar="EXPERIMENT",
        help="list only the runs of this experiment, with the config keys that differ",
        autocompletion=completion.experiments,
    ),
]
Sort = Annotated[
    str | None,
    typer.Option(
        "--sort",
        metavar="KEY",
        help="best first: accuracy or another metric (of validation images; test_accuracy, train_loss of others),"
        " created, time, or a config key such as learning_rate",
    ),
]
Reverse = Annotated[bool, typer.Option("--reverse", help="turn the order around")]
Filter = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="CONDITION",
        help="list only runs with KEY=VALUE, !=, >=, <=, > or <: status=completed, sweep=ID, 'val_accuracy>=0.9',"
        " model.base='resnet*'; repeatable, all must hold",
    ),
]
Csv = Annotated[bool, typer.Option("--csv", help="print the list as CSV, with every column")]


def _show(result: RunList) -> None:
    if result.csv:
        write_csv(result)
    else:
        print_runs(result)


@reports(_show, after_runs_list, prints_file=lambda result: result.csv)
def list_(
    reporter: Reporter,
    experiment: Experiment = None,
    sort: Sort = None,
    reverse: Reverse = False,
    conditions: Filter = None,
    csv: Csv = False,
    json: Json = False,
    runs: Runs = RUNS,
) -> RunList:
    """List all runs by experiment, the oldest first.

    With EXPERIMENT: a leaderboard of its runs, with a column for each config key that differs between them.

    Example: transfercli runs list flowers --sort accuracy --filter status=completed
    """
    from transfercli.workflows.runs.leaderboard import ListRequest, list_runs

    if csv and json:
        raise UsageError("--csv and --json cannot both be given", "choose one of them")
    return list_runs(ListRequest(runs, experiment, sort, reverse, tuple(conditions or ()), csv))
