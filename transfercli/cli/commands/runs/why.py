"""Command `transfercli runs why`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from transfercli.cli import completion
from transfercli.cli.choices import table_option
from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_why
from transfercli.cli.options import RUNS, Runs
from transfercli.cli.ui.tables import print_table, print_text
from transfercli.reporting import Reporter

if TYPE_CHECKING:
    from transfercli.workflows.compare.attribution import WhyResult

First = Annotated[
    str,
    typer.Argument(metavar="A", help="a run: the one before", show_default=False, autocompletion=completion.runs),
]
Second = Annotated[
    str,
    typer.Argument(metavar="B", help="a run: the one after", show_default=False, autocompletion=completion.runs),
]
Metric = Annotated[str, table_option("--metric", "metric", help="the metric to explain, such as macro_f1")]


def _show(result: WhyResult) -> None:
    print_text(result.headline)
    print()
    rest = result.unexplained
    spread = result.seed.spread
    print_table(
        ("part", "points" if result.in_points else result.metric, "95% interval"),
        [
            *((part.text, result.shown(part.contribution), _interval(result, part.interval)) for part in result.parts),
            (rest.text, result.shown(rest.contribution), _interval(result, rest.interval)),
            (_seed(result), "", "-" if spread is None else f"±{result.shown(spread).lstrip('+')}"),
            (f"difference on {result.images} test images", *_difference(result)),
        ],
    )
    if result.config:
        print()
        print_table(
            ("config", "before", "after", "counted in"),
            [(row["key"], _value(row["a"]), _value(row["b"]), row["effect"]) for row in result.config],
        )


def _difference(result: WhyResult) -> tuple[str, str]:
    return result.shown(result.difference), _interval(result, result.interval)


def _seed(result: WhyResult) -> str:
    seed = result.seed
    return f"seed {seed.first} -> {seed.second}" if seed.first != seed.second else "another seed"


def _interval(result: WhyResult, interval: Sequence[float] | None) -> str:
    return "-" if interval is None else f"{result.shown(interval[0])} to {result.shown(interval[1])}"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@reports(_show, after_why)
def why(reporter: Reporter, first: First, second: Second, metric: Metric = "accuracy", runs: Runs = RUNS) -> WhyResult:
    """Explain what made the difference between two runs.

    Attributes it to images that were added, removed, changed or relabelled, to config keys and to the seed.

    Example: transfercli runs why flowers@champion flowers
    """
    from transfercli.workflows.compare.attribution import WhyRequest
    from transfercli.workflows.compare.why import explain_difference

    return explain_difference(WhyRequest(first, second, runs, metric), reporter)
