"""Command `transfercli monitor`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from transfercli.cli.choices import GateOn
from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_monitor
from transfercli.cli.options import RUNS, MaxBad, Run, Runs
from transfercli.cli.ui.monitor_tables import show_monitor
from transfercli.errors import GateError
from transfercli.reporting import Reporter
from transfercli.text import decimal

if TYPE_CHECKING:
    from transfercli.workflows.monitor.result import MonitorResult

DAY = ["%Y-%m-%d"]

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        help="recent images, at any depth, or the folder of predict --log or serve --log",
        show_default=False,
    ),
]
MinExpected = Annotated[
    list[str] | None,
    typer.Option(
        "--min-expected", metavar="METRIC=VALUE", help="a gate, such as accuracy=0.85; exit 5 if not met; repeatable"
    ),
]
GateOnOption = Annotated[
    GateOn, typer.Option("--gate-on", help="compare gates with the expected value, or the worse end of its interval")
]
ReportPage = Annotated[
    Path | None,
    typer.Option("--report", metavar="PATH", help="write an HTML page: a file .html, or monitor.html in a folder"),
]
Model = Annotated[
    str | None,
    typer.Option("--model", metavar="KEY", help="a log of several models: the key of one", show_default=False),
]
Since = Annotated[
    datetime | None, typer.Option("--since", metavar="DAY", formats=DAY, help="a log: first day, such as 2026-11-22")
]
Until = Annotated[datetime | None, typer.Option("--until", metavar="DAY", formats=DAY, help="a log: last day")]


class BelowExpected(GateError):
    """Error for a gate that the expected metrics do not meet; carries the result."""

    def __init__(self, result: MonitorResult) -> None:
        failed = [gate for gate in result.gates if not gate["passed"]]
        reasons = "; ".join(
            f"{gate['metric']} {_outcome(gate['value'])}, required {gate['op']} {gate['bound']:g}" for gate in failed
        )
        super().__init__(f"{len(failed)} of {len(result.gates)} gates not met: {reasons}")
        self.result = result


def _outcome(value: float | None) -> str:
    """Return what is expected of a metric in words; that of a class without expected images has no value."""
    return f"is expected to be {decimal(value)}" if value is not None else "is not defined for these images"


@reports(show_monitor, after_monitor)
def monitor(
    reporter: Reporter,
    run: Run,
    folder: Folder,
    min_expected: MinExpected = None,
    gate_on: GateOnOption = "point",
    report: ReportPage = None,
    model: Model = None,
    since: Since = None,
    until: Until = None,
    max_bad: MaxBad = None,
    runs: Runs = RUNS,
) -> MonitorResult:
    """Measure drift and estimate the accuracy, without labels.

    Shows drift, and the accuracy to expect with an interval. The first call for a run passes 8,000 changed held-out
    images through it, and keeps what it learnt. Exit 5 if a gate of --min-expected is not met.

    Example: transfercli monitor flowers@champion camera/today --min-expected accuracy=0.85
    """
    from transfercli.workflows.monitor.monitor import monitor as monitor_answers
    from transfercli.workflows.monitor.request import MonitorRequest

    first, last = (None if day is None else day.date() for day in (since, until))
    request = MonitorRequest(run, folder, runs, tuple(min_expected or ()), gate_on, report, model, first, last, max_bad)
    result = monitor_answers(request, reporter)
    if not result.passed:
        raise BelowExpected(result)
    return result
