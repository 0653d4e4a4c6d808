"""Commands `transfercli runs list`, `runs show` and `runs compare`; `why.py` and `prune.py` have two more."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from transfercli.cli import completion
from transfercli.cli.choices import Split, table_option
from transfercli.cli.command import reports
from transfercli.cli.commands.prune import prune
from transfercli.cli.commands.why import why
from transfercli.cli.next_steps import after_comparison, after_runs_list, after_runs_show
from transfercli.cli.options import RUNS, Run, Runs
from transfercli.cli.ui.formatting import sparkline
from transfercli.cli.ui.tables import print_pairs, print_table
from transfercli.errors import UsageError
from transfercli.reporting import Reporter
from transfercli.text import byte_size, decimal, duration, first_of, in_groups

if TYPE_CHECKING:
    from transfercli.runs.decisions import Decision
    from transfercli.workflows.compare.comparison import CompareResult, PairComparison
    from transfercli.workflows.runs.runs import Generation, RunDetails, RunList

SHOWN_IMAGES = 5
# Verdict of a comparison about the other run, as a sentence; neither run needs to be the champion.
VERDICTS = {
    "better": "the other is better by {metric}",
    "worse": "the other is worse by {metric}",
    "no difference": "these images show no difference in {metric}",
}
app = typer.Typer(help="List, show, compare, explain and prune runs.", no_args_is_help=True)

Experiment = Annotated[
    str | None,
    typer.Argument(
        metavar="EXPERIMENT", help="list only the runs of this experiment", autocompletion=completion.experiments
    ),
]
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


def _show_list(result: RunList) -> None:
    if not result.runs:
        print("no runs yet")
        return
    print_table(
        ("run", "status", "created", "val accuracy", "test accuracy", "time", "links"),
        [
            (
                f"{row.experiment}/{row.run_id}",
                row.status,
                (row.created or "-")[:19],
                row.val_accuracy,
                row.test_accuracy,
                "-" if row.total_seconds is None else duration(row.total_seconds),
                ", ".join(row.links),
            )
            for row in result.runs
        ],
        droppable=("created", "time"),  # the id contains the time
    )
    unfinished = {
        row.experiment: f"{row.run_id} was interrupted; go on: {row.resume}" for row in result.runs if row.resume
    }
    if unfinished:
        print()
        print_pairs(unfinished.items())
    if result.decisions:
        print()
        print_pairs((experiment, _decision(last)) for experiment, last in result.decisions.items())


def _decision(last: Decision) -> str:
    return f"champion {last.champion or 'none'}; last decided {last.time[:19]}, {last.decision}: {last.reason}"


def _show_run(result: RunDetails) -> None:
    row, links = result.row, ", ".join(result.row.links)
    seconds = ", ".join(f"{stage} {duration(value)}" for stage, value in result.seconds.items() if value is not None)
    print_pairs(
        [
            ("run", row.run),
            ("status", f"{row.status} ({links})" if links else row.status),
            ("go on", row.resume),
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
            *((f"{split} accuracy, evaluated", decimal(m["accuracy"])) for split, m in result.evaluations.items()),
            ("adaptation", result.adaptation["text"] if result.adaptation else None),
            ("time", seconds or None),
            ("lineage", "\n".join(tree(result.lineage))),
            ("files", f"{len(result.files)}, {byte_size(sum(file.bytes for file in result.files))}"),
        ]
    )


def tree(lineage: Sequence[Generation]) -> list[str]:
    """Return a line per generation, each indented below its child; the last line is the initial weights."""
    lines = [
        f"{run.run} ({', '.join(word for word in (run.status, run.workflow, run.base) if word)})" for run in lineage
    ]
    if isinstance(first := lineage[-1].weights, str):
        lines.append("random weights" if first == "none" else f"{first} weights")
    elif first and "path" in first:
        lines.append(f"weights of {Path(first['path']).name}")
    elif first and "hub" in first:
        lines.append(f"weights of {first['hub']}")
    return [f"{'   ' * (depth - 1)}└─ {line}" if depth else line for depth, line in enumerate(lines)]


def curve(values: list[float | None]) -> str:
    """Return a sparkline between the first and the last value; "-" if there is no value."""
    known = [value for value in values if value is not None]
    return f"{known[0]:.4f} {sparkline(known)} {known[-1]:.4f}" if known else "-"


def of_images(name: str, cross_validated: int | None, adaptation: Mapping[str, Any] | None) -> str:
    """Return what follows a metric of a training: the images that it is of, if they are not those of its name."""
    notes = []
    if cross_validated and name.startswith("val_"):
        notes.append(f"cross-validated on {cross_validated} training and validation images")
        if adaptation and adaptation.get("case") == "related domains" and len(adaptation.get("tried") or ()) > 1:
            notes.append(f"the best of {len(adaptation['tried'])} that were tried on them")
    if adaptation and adaptation.get("case") == "another domain":
        notes.append("not of the target's domain")
    return f" ({', '.join(notes)})" if notes else ""


def best_epoch_text(best: int | None) -> str | None:
    """Return the number of the best epoch; the probe that is solved before the first epoch has none."""
    return "probe (no epochs)" if best == 0 else None if best is None else str(best)


def metric_label(key: str) -> str:
    """Return the words for a key of `metrics.jsonl`: `val_loss` -> `validation loss`, `loss` -> `training loss`."""
    images, name = ("validation", key.removeprefix("val_")) if key.startswith("val_") else ("training", key)
    return f"{images} {name.replace('_', ' ')}"


def curves_of(run: Path) -> list[tuple[str, str]]:
    """Return (name, curve) pairs of a run; none if it trained for one epoch or less."""
    from transfercli.runs.folder import RunFolder
    from transfercli.training import history

    lines = history.read(RunFolder(run).metrics)
    names = ("val_loss", "val_accuracy") if len(lines) > 1 else ()
    return [(f"{name} curve".replace("_", " "), curve([line.get(name) for line in lines])) for name in names]


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


@app.command("list")
@reports(_show_list, after_runs_list)
def list_(reporter: Reporter, experiment: Experiment = None, runs: Runs = RUNS) -> RunList:
    """List all runs by experiment, the oldest first.

    Example: transfercli runs list flowers
    """
    from transfercli.workflows.runs.runs import list_runs

    return list_runs(runs, experiment)


@app.command()
@reports(_show_run, after_runs_show)
def show(reporter: Reporter, run: Run, runs: Runs = RUNS) -> RunDetails:
    """Show the status, metrics, curves, lineage and files of a run.

    Example: transfercli runs show flowers@champion
    """
    from transfercli.workflows.runs.runs import show_run

    return show_run(run, runs, reporter)


@app.command()
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


app.command()(why)
app.command()(prune)
