"""Command `transfercli runs compare`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from transfercli.cli import completion
from transfercli.cli.choices import Split, table_option
from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_comparison
from transfercli.cli.options import RUNS, Runs
from transfercli.cli.ui.tables import print_pairs, print_table
from transfercli.errors import UsageError
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
        metavar="RUN", help="two runs or more; each is compared with the first", autocompletion=completion.runs
    ),
]
SplitOption = Annotated[Split, typer.Option("--split", help="the split to compare on")]
Metric = Annotated[str, table_option("--metric", "metric", help="the metric of the verdict, such as macro_f1")]
Report = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help="write an offline HTML page with the fixed and broken images"),
]


def _show_comparisons(result: CompareResult) -> None:
    for held in result.comparisons:
        _show_comparison(held, result.split)
        print()
    if result.report:
        print_pairs([("report", result.report)])


def _show_comparison(held: PairComparison, split: str) -> None:
    compared = held.comparison
    print_pairs(
        [
            ("first", held.champion.path),
            ("other", held.challenger.path),
            ("verdict", VERDICTS[compared.outcome(compared.metric)].format(metric=compared.metric)),
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
            if not name.startswith(("precision[", "f1["))
        ],
        droppable=("detectable",),
    )
    if held.config:
        print()
        rows = [(change["key"], _config(change["champion"]), _config(change["challenger"])) for change in held.config]
        print_table(("config", "first", "other"), rows)


def _learnt(left_out: int) -> str:
    return f", without {left_out} that one of the two or an ancestor learnt from" if left_out else ""


def _config(value: Any) -> str:
    """Return a value as it stands in a config: `null`, `true`, `{run: RUN}`."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_config(entry)}' for key, entry in value.items())}}}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


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
    metric: Metric = "accuracy",
    report: Report = None,
    runs: Runs = RUNS,
) -> CompareResult:
    """Compare runs on the same images.

    Shows the differences with paired intervals, and McNemar's test.

    Example: transfercli runs compare flowers@champion flowers --metric macro_f1
    """
    from transfercli.workflows.compare.compare import compare_runs
    from transfercli.workflows.compare.comparison import CompareRequest

    if len(names) < 2:
        raise UsageError(f"runs compare needs two runs or more; received {len(names)}")
    return compare_runs(CompareRequest(tuple(names), runs, split, metric, report=report), reporter)
