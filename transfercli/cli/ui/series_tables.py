"""Tables of a series of runs: each run, mean and spread, and the predictions out of fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from transfercli.cli.ui.tables import print_pairs, print_table, print_text
from transfercli.text import counted, decimal, duration, in_groups

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transfercli.config.types import Task
    from transfercli.evaluation.result import Evaluation
    from transfercli.workflows.series.evaluate import SeriesEvaluation
    from transfercli.workflows.series.result import SeriesResult
    from transfercli.workflows.series.spread import Spread

COLUMNS: dict[Task, tuple[str, ...]] = {
    "classify": ("accuracy", "macro_f1", "log_loss"),
    "ordinal": ("accuracy", "mae", "quadratic_kappa", "log_loss"),
    "multilabel": ("map", "macro_f1", "log_loss"),
}
NO_ERROR = (
    "The standard deviation says how much one fold differs from another. It is no standard error of the mean: the folds"
    " share training images, and no unbiased estimate of that error exists (Bengio & Grandvalet 2004). The intervals"
    " out of fold below say how well the score is known."
)


def show_series(result: SeriesResult) -> None:
    """Print the runs of a series, the mean and spread of their metrics, and the predictions out of fold."""
    print_pairs(
        [
            (result.kind, result.name),
            ("complete", f"{len(result.completed)} of {len(result.runs)}"),
            ("time", duration(result.seconds)),
        ]
    )
    print()
    columns = COLUMNS[result.task]
    rows: list[tuple[object, ...]] = [
        (
            run.member.name,
            "failed" if run.failure else run.result and run.result.status,
            *(run.metrics.get(name) for name in columns),
            run.run,
        )
        for run in result.runs
    ]
    print_table((result.kind, "status", *columns, "run"), rows)
    _show_spread(result.metrics, columns)
    if result.kind == "folds":
        print_text(f"\n{NO_ERROR}")
    if result.out_of_fold:
        _show_out_of_fold(result.out_of_fold, columns)
        print(f"\nreport  {result.report}")


def show_evaluations(result: SeriesEvaluation, names: Sequence[str]) -> None:
    """Print the evaluation of each run of a series, and the mean and spread."""
    print_pairs([(result.kind, result.name), ("split", result.split)])
    print()
    rows = [(one.run, *(one.evaluation.honest[name] for name in names)) for one in result.results]
    print_table(("run", *names), rows)
    _show_spread(result.metrics, names)
    print()


def _show_spread(metrics: Mapping[str, Spread], names: Sequence[str]) -> None:
    if not metrics:
        return
    print()
    rows = [(name, *_spread_row(metrics[name])) for name in names]
    print_table(("over runs", "mean", "standard deviation", "lowest", "highest"), rows)


def _spread_row(spread: Spread) -> tuple[object, ...]:
    values = spread.as_json()
    return tuple(values[name] for name in ("mean", "standard_deviation", "min", "max"))


def _show_out_of_fold(evaluation: Evaluation, names: Sequence[str]) -> None:
    """Print the metrics of the predictions out of fold, with intervals between images, or between groups."""
    print()
    pairs = [("out of fold", f"{counted(evaluation.examples, 'image')}{in_groups(evaluation.groups)}")]
    for name in names:
        interval = evaluation.intervals.get(name)
        bounds = f"  (95%: {interval[0]:.4f} to {interval[1]:.4f})" if interval else ""
        pairs.append((name, f"{decimal(evaluation.metrics[name])}{bounds}"))
    print_pairs(pairs)
