"""Command `transfercli sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_sweep
from transfercli.cli.options import RUNS, ConfigFile, Overrides, Runs, Wait
from transfercli.cli.ui.tables import print_pairs, print_table, print_text
from transfercli.reporting import Reporter

if TYPE_CHECKING:
    from transfercli.workflows.sweep.plan import SweepPlan
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


DryRun = Annotated[
    bool, typer.Option("--dry-run", help="check the config and say how many trials it means; train none")
]
SHOWN = 10  # trials in the table


def _show(result: SweepResult | SweepPlan) -> None:
    from transfercli.config.differing_keys import DIGITS, short_names, value_text
    from transfercli.workflows.sweep.plan import SweepPlan

    if isinstance(result, SweepPlan):
        print_pairs(result.pairs())
        return
    ranked, names = result.ranked(), short_names(result.keys, result.keys)
    counts = result.counts()
    if ranked:
        differing = [key for key in names if len({repr(row.values.get(key)) for row in result.trials}) > 1]
        header = ["trial", result.metric, *(names[key] for key in differing), "seconds"]
        rows = [
            [
                _named(row.number, result),
                row.value,
                *(value_text(row.values.get(key), DIGITS) for key in differing),
                _seconds(row.seconds),
            ]
            for row in ranked[:SHOWN]
        ]
        print_table(header, rows, ["seconds"])
        print()
    features = result.cache.get("features") or {}
    unfinished = f", of {result.total}" if len(result.trials) < result.total else ""
    print_pairs(
        [
            ("sweep", result.folder),
            (
                "trials",
                f"{', '.join(f'{number} {state}' for state, number in counts.items()) or 'none'}{unfinished}",
            ),
            ("features", f"{features['misses']} computed for all trials together" if any(features.values()) else None),
            ("winner", ", ".join((result.winner or {}).get("runs", ())) or None),
            ("page", result.report),
        ]
    )
    for sentence in result.sentences:
        print_text(sentence)
    for row in [row for row in result.trials if row.state == "failed"][:SHOWN]:
        print_text(f"trial {row.number} failed: {row.reason}")


def _named(number: int, result: SweepResult) -> str:
    return f"{number} (winner)" if result.winner and result.winner["trial"] == number else str(number)


def _seconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.1f}"


@reports(_show, after_sweep)
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
    dry_run: DryRun = False,
) -> SweepResult | SweepPlan:
    """Train many trials of a config, and find its best values.

    The section sweep of the config names the keys and their ranges. The frozen layers run once for all trials. The same
    command goes on with a sweep that was stopped.

    Example: transfercli sweep flowers.yaml --jobs 2 --report sweep.html
    """
    from transfercli.workflows.sweep.plan import plan
    from transfercli.workflows.sweep.result import SweepRequest
    from transfercli.workflows.sweep.sweep import sweep as run_sweep

    request = SweepRequest(config, runs, tuple(overrides or ()), sweep_id, jobs, storage, report, wait)
    return plan(request, reporter) if dry_run else run_sweep(request, reporter)
