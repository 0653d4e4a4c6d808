"""`transfercli pretrain` and `transfercli finetune`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from transfercli.cli import completion
from transfercli.cli.commands.runs import curves_of
from transfercli.cli.options import RUNS, Json, Overrides, Quiet, Runs, Verbose
from transfercli.cli.runner import run_command
from transfercli.cli.ui.tables import print_pairs, print_table
from transfercli.text import byte_size, duration

Config = Annotated[
    Path | None,
    typer.Argument(metavar="CONFIG", help="a YAML file: one experiment (not needed with --resume)", show_default=False),
]
RunId = Annotated[
    str | None,
    typer.Option("--run-id", metavar="ID", help="name the run; started again, it goes on or prints its result"),
]
Resume = Annotated[
    str | None,
    typer.Option("--resume", metavar="RUN", help="go on with an interrupted run", autocompletion=completion.runs),
]
Wait = Annotated[float, typer.Option("--wait", metavar="SECONDS", min=0, help="wait for the experiment's lock")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="everything up to the first step, and what it would cost")]


def pretrain(
    config: Config = None,
    overrides: Overrides = None,
    runs: Runs = RUNS,
    run_id: RunId = None,
    resume: Resume = None,
    wait: Wait = 0.0,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train a base on a source data set, from scratch or from weights."""
    _train("pretrain", locals())


def finetune(
    config: Config = None,
    overrides: Overrides = None,
    runs: Runs = RUNS,
    run_id: RunId = None,
    resume: Resume = None,
    wait: Wait = 0.0,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train a classifier on a target data set from a base."""
    _train("finetune", locals())


def _train(command: Any, given: dict[str, Any]) -> None:
    def work(console: Any) -> dict[str, Any]:
        from transfercli.workflows.train.train import TrainRequest, train

        names = ("config", "runs", "run_id", "resume", "wait", "dry_run")
        request = TrainRequest(command, overrides=tuple(given["overrides"] or ()), **{n: given[n] for n in names})
        return train(request, console)

    run_command(work, _show, as_json=given["json"], quiet=given["quiet"], verbose=given["verbose"])


def _show(result: dict[str, Any]) -> None:
    if result["status"] == "dry-run":
        seconds = result["seconds"]
        print_pairs(
            [
                ("images", ", ".join(f"{count} {name}" for name, count in result["images"].items())),
                ("classes", ", ".join(result["classes"])),
                ("parameters", f"{result['parameters']:,}"),
                ("features take about", duration(seconds["features"])),
                ("and on disk", byte_size(result["cache_bytes"])),
                ("the run on disk, at most", byte_size(result["run_bytes"])),
                ("would train for about", f"{duration(seconds['train'])}, its compilation included"),
                ("memory at its peak", byte_size(result["peak_memory_bytes"]) if result["peak_memory_bytes"] else None),
                ("not counted", "starting the program and Keras, and reading the images"),
            ]
        )
        print_table(
            ("kind", "unfreeze", "epochs", "learning rate", "features", "train"),
            [
                (
                    *(phase[name] for name in ("kind", "unfreeze", "epochs")),
                    f"{phase['learning_rate']:g}",
                    *(duration(phase[stage]) for stage in ("features", "train")),
                )
                for phase in result["phases"]
            ],
        )
        return
    metrics = result["metrics"]
    print_pairs(
        [
            ("run", result["run"]),
            ("status", result["status"]),
            ("best epoch", result["best_epoch"]),
            ("val accuracy", f"{metrics['val_accuracy']:.4f}"),
            ("val loss", f"{metrics['val_loss']:.4f}"),
            *curves_of(Path(result["run"])),
            ("time", duration(result["seconds"]["total"])),
            ("next", f"transfercli evaluate {shlex.quote(result['run'])}"),
        ]
    )
