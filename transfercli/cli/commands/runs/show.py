"""Command `transfercli runs show`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_runs_show
from transfercli.cli.options import RUNS, Run, Runs
from transfercli.cli.ui.tables import print_pairs
from transfercli.cli.ui.training_results import best_epoch_text, curve, metric_label, of_images
from transfercli.reporting import Reporter
from transfercli.text import byte_size, decimal, duration

if TYPE_CHECKING:
    from transfercli.workflows.runs.runs import Generation, RunDetails


def _show_run(result: RunDetails) -> None:
    row, links = result.row, ", ".join(result.row.links)
    seconds = ", ".join(f"{stage} {duration(value)}" for stage, value in result.seconds.items() if value is not None)
    print_pairs(
        [
            ("run", row.run),
            ("status", f"{row.status} ({links})" if links else row.status),
            ("go on", row.going_on),
            ("command", result.command),
            ("created", row.created),
            ("best epoch", best_epoch_text(result.best_epoch)),
            *(
                (
                    metric_label(name),
                    decimal(value) + of_images(name, result.cross_validated, result.adaptation),
                )
                for name, value in result.metrics.items()
            ),
            *(
                (f"{metric_label(name)} curve", curve(values))
                for name, values in result.curves.items()
                if len(values) > 1
            ),
            *(
                (f"{split} {row.headline}, evaluated", decimal(metrics.get(row.headline)))
                for split, metrics in result.evaluations.items()
            ),
            ("adaptation", result.adaptation["text"] if result.adaptation else None),
            ("time", seconds or None),
            ("lineage", "\n".join(tree(result.lineage))),
            ("files", f"{len(result.files)}, {byte_size(sum(file.bytes for file in result.files))}"),
        ]
    )


def tree(lineage: Sequence[Generation]) -> list[str]:
    """Return a line per generation, each indented below its child; the last line is the initial weights.

    The members of a merged run stand below each other.
    """
    lines = [
        f"{run.run} ({', '.join(word for word in (run.status, run.workflow, run.base) if word)})" for run in lineage
    ]
    if isinstance(first := lineage[-1].weights, str):
        lines.append("random weights" if first == "none" else f"{first} weights")
    elif first and "path" in first:
        lines.append(f"weights of {Path(first['path']).name}")
    elif first and "hub" in first:
        lines.append(f"weights of {first['hub']}")
    depths = [*(run.depth for run in lineage), lineage[-1].depth + 1]
    return [f"{'   ' * (depth - 1)}└─ {line}" if depth else line for depth, line in zip(depths, lines, strict=False)]


@reports(_show_run, after_runs_show)
def show(reporter: Reporter, run: Run, runs: Runs = RUNS) -> RunDetails:
    """Show the status, metrics, curves, lineage and files of a run.

    Example: transfercli runs show flowers@champion
    """
    from transfercli.workflows.runs.runs import show_run

    return show_run(run, runs, reporter)
