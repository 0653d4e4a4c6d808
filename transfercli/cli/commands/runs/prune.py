"""Command `transfercli runs prune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from transfercli.cli import completion
from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_prune
from transfercli.cli.options import RUNS, Runs
from transfercli.cli.ui.tables import print_pairs, print_table
from transfercli.reporting import Reporter
from transfercli.text import byte_size

if TYPE_CHECKING:
    from transfercli.workflows.runs.prune import PruneResult

Experiments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="EXPERIMENT",
        help="prune only these experiments",
        show_default=False,
        autocompletion=completion.experiments,
    ),
]
KeepLast = Annotated[
    int | None, typer.Option("--keep-last", metavar="N", min=0, help="keep the N newest runs of each experiment")
]
KeepDays = Annotated[
    float | None, typer.Option("--keep-days", metavar="D", min=0, help="keep runs created in the last D days")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="show the runs that would be removed, and remove nothing")]


def _show(result: PruneResult) -> None:
    outcome = "would be removed" if result.dry_run else "removed"
    print_pairs([(outcome, f"{len(result.removed)}, {byte_size(result.bytes)}"), ("kept", len(result.kept))])
    rows = [(_label(run), outcome) for run in result.removed] + [(_label(kept.run), kept.why) for kept in result.kept]
    if rows:
        print()
        print_table(("run", "outcome"), rows)


def _label(run: Path) -> str:
    return f"{run.parent.name}/{run.name}"


@reports(_show, after_prune)
def prune(
    reporter: Reporter,
    experiments: Experiments = None,
    last: KeepLast = None,
    days: KeepDays = None,
    dry_run: DryRun = False,
    runs: Runs = RUNS,
) -> PruneResult:
    """Remove old runs, but never a champion.

    Also keeps the previous champion, the runs whose weights a champion came from, and running runs.

    Example: transfercli runs prune --keep-last 10 --keep-days 30 --dry-run
    """
    from transfercli.workflows.runs.prune import PruneRequest
    from transfercli.workflows.runs.prune import prune as prune_runs

    return prune_runs(PruneRequest(runs, tuple(experiments or ()), last, days, dry_run), reporter)
