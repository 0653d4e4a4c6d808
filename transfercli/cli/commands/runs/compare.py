"""Command `transfercli runs compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from transfercli.cli import completion
from transfercli.cli.choices import Split, table_option
from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_comparison
from transfercli.cli.options import RUNS, Runs
from transfercli.cli.ui.comparison_table import print_comparisons
from transfercli.cli.ui.tables import print_pairs, print_table
from transfercli.config.differing_keys import value_text
from transfercli.reporting import Reporter
from transfercli.text import first_of, in_groups

if TYPE_CHECKING:
    from transfercli.workflows.compare.comparison import CompareResult, PairComparison

SHOWN_IMAGES = 5
# Verdict of a comparison about the other run, as a sentence; neither run needs to be the champion.
VERDICTS = {
    "better": "the other is better by {metric}",
    "worse": "the other is worse by {metric}",
    "no difference": "these images show no difference in {metric}",
}

Names = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN",
        help="two runs or more, or patterns such as 'flowers/sweep-*'; each is compared with the first",
        autocompletion=completion.runs,
    ),
]
SplitOption = Annotated[Split, typer.Option("--split", help="the split to compare on")]
Metric = Annotated[
    str | None,
    table_option(
        "--metric",
        "metric",
        help="the metric of the verdict, such as macro_f1 (accuracy; map if an image may have several labels)",
    ),
]
Report = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help="write an offline HTML page with the fixed and broken images"),
]
Details = Annotated[bool, typer.Option("--details", help="of more than two runs, also print each comparison in full")]


def _show_comparisons(result: CompareResult) -> None:
    several = len(result.comparisons) > 1
    if several:
        print_comparisons(result)
    for held in result.comparisons if result.details or not several else ():
        if several:
            print()
        _show_comparison(held, result.split)
    if result.report:
        print()
        print_pairs([("report", result.report)])


def _show_comparison(held: PairComparison, split: str) -> None:
    compared = held.comparison
    print_pairs(
        [
            ("first", held.champion.path),
            ("other", held.challenger.path),
            ("verdict", VERDICTS[held.outcome].format(metric=compared.metric)),
            ("images", f"{compared.examples} of {split}{in_groups(compared.groups)}" + _learnt(held.left_out)),
            ("fixed", _first_paths(compared.fixed)),
            ("broken", _first_paths(compared.broken)),
            ("McNemar's test", f"p = {compared.p_value:.4g}"),
            *(
                (f"seconds: {stage}", f"{_seconds(seconds['champion'])} -> {_seconds(seconds['challenger'])}")
                for stage, seconds in held.seconds.items()
            ),
        ]
    )
    print()
    print_table(
        ("metric", "first", "other", "difference", "95% interval", "detectable"),
        [
            (name, row.champion, row.challenger, row.difference, _interval(row.interval), row.detectable)
            for name, row in compared.metrics.items()
            if not name.startswith(("precision[", "f1[", "auroc["))
        ],
        droppable=("detectable",),
    )
    if held.config:
        print()
        rows = [
            (change["key"], value_text(change["champion"]), value_text(change["challenger"])) for change in held.config
        ]
        print_table(("config", "first", "other"), rows)


def _learnt(left_out: int) -> str:
    return f", without {left_out} that one of the two or an ancestor learnt from" if left_out else ""


def _first_paths(paths: Sequence[str]) -> str:
    # A file name that contains a line break must stay on one line.
    text = first_of(paths, SHOWN_IMAGES, written=lambda path: path.replace("\n", "\\n"))
    return f"{len(paths)}" + (f": {text}" if paths else "")


def _interval(interval: Sequence[float] | None) -> str:
    return "-" if interval is None else f"{interval[0]:+.4f} to {interval[1]:+.4f}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


@reports(_show_comparisons, after_comparison)
def compare(
    reporter: Reporter,
    names: Names,
    split: SplitOption = "test",
    metric: Metric = None,
    details: Details = False,
    report: Report = None,
    runs: Runs = RUNS,
) -> CompareResult:
    """Compare runs on the same images, each with the first.

    Two runs: the differences with paired intervals, and McNemar's test. More runs: one table, with p-values and
    verdicts that are corrected for the number of comparisons (Holm). A pattern means all completed runs that match.

    Example: transfercli runs compare flowers@champion 'flowers/sweep-*' --metric macro_f1 --report page.html
    """
    from transfercli.workflows.compare.compare import compare_runs
    from transfercli.workflows.compare.comparison import CompareRequest

    return compare_runs(CompareRequest(tuple(names), runs, split, metric, report=report, details=details), reporter)
