"""`transfercli runs`: what runs there are, what is known of one, which is better, and which may go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from transfercli.cli import completion
from transfercli.cli.commands.prune import prune
from transfercli.cli.options import RUNS, Json, Quiet, Run, Runs, Verbose
from transfercli.cli.runner import run_command
from transfercli.cli.ui.formatting import sparkline
from transfercli.cli.ui.tables import print_pairs, print_table
from transfercli.errors import UsageError
from transfercli.text import byte_size, duration, first_of

SHOWN_IMAGES = 5
# What a comparison says of the other run, in a sentence; either may be the champion, or none.
VERDICTS = {
    "better": "the other is better by {metric}",
    "worse": "the other is worse by {metric}",
    "no difference": "no difference in {metric} that these images can show",
}
app = typer.Typer(help="List, show, compare and prune runs.", no_args_is_help=True)
app.command()(prune)


@app.command("list")
def list_(
    experiment: Annotated[
        str | None, typer.Argument(metavar="[EXPERIMENT]", help="only its runs", autocompletion=completion.experiments)
    ] = None,
    runs: Runs = RUNS,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Every run, by experiment, the oldest first."""

    def work(console: Any) -> dict[str, Any]:
        from transfercli.workflows.runs.runs import list_runs

        return list_runs(runs, experiment)

    run_command(work, _show_list, as_json=json, quiet=quiet, verbose=verbose)


@app.command()
def show(run: Run, runs: Runs = RUNS, json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Status, metrics, curves, lineage and files of a run."""

    def work(console: Any) -> dict[str, Any]:
        from transfercli.workflows.runs.runs import show_run

        return show_run(run, runs, console)

    run_command(work, _show_run, as_json=json, quiet=quiet, verbose=verbose)


@app.command()
def compare(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN RUN…", help="the first is what the others are held against", autocompletion=completion.runs
        ),
    ],
    split: Annotated[str, typer.Option("--split", help="validation or test")] = "test",
    metric: Annotated[
        str, typer.Option("--metric", help="the metric that decides", autocompletion=completion.table_names("metric"))
    ] = "accuracy",
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="write an offline HTML page with the images fixed and broken"),
    ] = None,
    runs: Runs = RUNS,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Which is better, on the same images.

    Differences with paired intervals, and McNemar's test.
    """

    def work(console: Any) -> dict[str, Any]:
        from transfercli.config.registries import names as names_of
        from transfercli.workflows.compare.compare import compare_runs
        from transfercli.workflows.compare.comparison import CompareRequest

        if len(names) < 2:
            raise UsageError(f"runs compare needs two runs or more; received {len(names)}")
        if split not in ("validation", "test"):
            raise UsageError(f"--split must be validation or test; received {split!r}")
        if metric not in names_of("metric"):
            raise UsageError(f"--metric must be one of {', '.join(names_of('metric'))}; received {metric!r}")
        return compare_runs(CompareRequest(tuple(names), runs, split, metric, report=report), console)

    run_command(work, _show_comparisons, as_json=json, quiet=quiet, verbose=verbose)


def _show_list(result: dict[str, Any]) -> None:
    if not result["runs"]:
        print("no runs yet")
        return
    print_table(
        ("run", "status", "created", "val accuracy", "test accuracy", "time", "links"),
        [
            (
                f"{row['experiment']}/{row['run_id']}",
                row["status"],
                (row["created"] or "-")[:19],
                row["val_accuracy"],
                row["test_accuracy"],
                "-" if row["total_seconds"] is None else duration(row["total_seconds"]),
                ", ".join(row["links"]),
            )
            for row in result["runs"]
        ],
        droppable=("created", "time"),  # the id tells when
    )
    if result["decisions"]:
        print()
        print_pairs((experiment, _decision(last)) for experiment, last in result["decisions"].items())


def _decision(last: dict[str, Any]) -> str:
    return (
        f"champion {last['champion'] or 'none'}; last decided {last['time'][:19]}, {last['decision']}: {last['reason']}"
    )


def _show_run(result: dict[str, Any]) -> None:
    seconds = result["seconds"] or {}
    print_pairs(
        [
            ("run", result["run"]),
            ("status", result["status"] + (f" ({', '.join(result['links'])})" if result["links"] else "")),
            ("command", result["command"]),
            ("created", result["created"]),
            ("best epoch", result["best_epoch"]),
            *((name.replace("_", " "), f"{value:.4f}") for name, value in (result["metrics"] or {}).items()),
            *((f"{name} curve", curve(values)) for name, values in result["curves"].items() if len(values) > 1),
            *((f"{split} accuracy", f"{m['accuracy']:.4f}") for split, m in result["evaluations"].items()),
            ("time", ", ".join(f"{stage} {duration(value)}" for stage, value in seconds.items()) or None),
            ("lineage", "\n".join(tree(result["lineage"]))),
            ("files", f"{len(result['files'])}, {byte_size(sum(file['bytes'] for file in result['files']))}"),
        ]
    )


def tree(lineage: list[dict[str, Any]]) -> list[str]:
    """A line a generation, each below and to the right of what was trained from it; the last is the first weights."""
    lines = [
        f"{one['run']} ({', '.join(filter(None, (one['status'], one['workflow'], one['base'])))})" for one in lineage
    ]
    if isinstance(first := lineage[-1]["weights"], str):
        lines.append("random weights" if first == "none" else f"{first} weights")
    elif first and "path" in first:
        lines.append(f"weights of {Path(first['path']).name}")
    return [f"{'   ' * (depth - 1)}└─ {line}" if depth else line for depth, line in enumerate(lines)]


def curve(values: list[float | None]) -> str:
    """A sparkline between its first and its last value."""
    known = [value for value in values if value is not None]
    return f"{known[0]:.4f} {sparkline(known)} {known[-1]:.4f}" if known else "-"


def curves_of(run: Path) -> list[tuple[str, str]]:
    """Lines of a table: the curves of a run that trained for more than an epoch."""
    from transfercli.runs.folder import RunFolder
    from transfercli.training import history

    lines = history.read(RunFolder(run).metrics)
    names = ("val_loss", "val_accuracy") if len(lines) > 1 else ()
    return [(f"{name} curve".replace("_", " "), curve([line.get(name) for line in lines])) for name in names]


def _show_comparisons(result: dict[str, Any]) -> None:
    for one in result["comparisons"]:
        print_pairs(
            [
                ("first", one["champion"]),
                ("other", one["challenger"]),
                ("verdict", VERDICTS[one["verdict"]].format(metric=one["metric"])),
                ("images", f"{one['examples']} of {result['split']}"),
                ("fixed", _some(one["fixed"])),
                ("broken", _some(one["broken"])),
                ("McNemar's test", f"p = {one['mcnemar']['p_value']:.4g}"),
                *(
                    (f"seconds: {stage}", f"{_plain(s['champion'])} -> {_plain(s['challenger'])}")
                    for stage, s in one["seconds"].items()
                ),
            ]
        )
        print()
        print_table(
            ("metric", "first", "other", "difference", "95% interval", "detectable"),
            [
                (name, v["champion"], v["challenger"], v["difference"], _interval(v["interval"]), v["detectable"])
                for name, v in one["metrics"].items()
                if not name.startswith(("precision[", "f1["))
            ],
            droppable=("detectable",),
        )
        if one["config"]:
            print()
            rows = [(c["key"], str(c["champion"]), str(c["challenger"])) for c in one["config"]]
            print_table(("config", "first", "other"), rows)
        print()
    if result["report"]:
        print_pairs([("report", result["report"])])


def _some(paths: list[str]) -> str:
    # A name may hold an end of line; it stays one name.
    named = first_of(paths, SHOWN_IMAGES, written=lambda path: path.replace("\n", "\\n"))
    return f"{len(paths)}" + (f": {named}" if paths else "")


def _interval(interval: list[float] | None) -> str:
    return "-" if interval is None else f"{interval[0]:+.4f} to {interval[1]:+.4f}"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
