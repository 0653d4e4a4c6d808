"""Command `transfercli sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from transfercli.cli.command import reports
from transfercli.cli.options import RUNS, ConfigFile, Overrides, Runs, Wait
from transfercli.cli.ui.tables import print_pairs
from transfercli.reporting import Reporter

if TYPE_CHECKING:
    from transfercli.workflows.sweep.result import SweepResult

SweepId = Annotated[
    str | None,
    typer.Option(
        "--run-id",
        metavar="ID",
        help="id of the sweep, and start of its trials' ids; default: from the config",
        show_default=False,
    ),
]
Jobs = Annotated[int, typer.Option("--jobs", metavar="N", min=1, help="processes that train trials at once")]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        help="storage that several hosts share, such as sqlite:///FILE; default: a journal in the sweep's folder",
        show_default=False,
    ),
]
Report = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="write an offline HTML page about the trials")
]


def _show(result: SweepResult) -> None:
    winner = result.winner or {}
    print_pairs(
        [
            ("sweep", result.folder),
            ("trials", ", ".join(f"{number} {state}" for state, number in result.counts().items())),
            ("winner", winner.get("run")),
            (result.metric, winner.get("naive")),
        ]
    )


@reports(_show)
def sweep(
    reporter: Reporter,
    config: ConfigFile,
    overrides: Overrides = None,
    runs: Runs = RUNS,
    sweep_id: SweepId = None,
    jobs: Jobs = 1,
    storage: Storage = None,
    report: Report = None,
    wait: Wait = 0.0,
) -> SweepResult:
    """Train many trials of a config, and find its best values.

    The section sweep of the config names the keys and their ranges. The frozen layers run once for all trials. The same
    command goes on with a sweep that was stopped.

    Example: transfercli sweep flowers.yaml --jobs 2 --report sweep.html
    """
    from transfercli.workflows.sweep.result import SweepRequest
    from transfercli.workflows.sweep.sweep import sweep as run_sweep

    request = SweepRequest(config, runs, tuple(overrides or ()), sweep_id, jobs, storage, report, wait)
    return run_sweep(request, reporter)
