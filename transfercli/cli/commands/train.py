"""Commands `transfercli pretrain` and `transfercli finetune`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from transfercli.cli import completion
from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_training
from transfercli.cli.options import RUNS, Overrides, Runs, Wait
from transfercli.cli.runner import error_object
from transfercli.cli.ui.rate_table import show_rates
from transfercli.cli.ui.series_tables import show_series
from transfercli.cli.ui.tables import print_pairs, print_table, print_text
from transfercli.cli.ui.training_results import best_epoch_text, curves_of, of_images
from transfercli.errors import TransferError, UsageError
from transfercli.reporting import Reporter
from transfercli.text import byte_size, duration, images_per_split

if TYPE_CHECKING:
    from transfercli.workflows.series.result import SeriesEstimate, SeriesResult
    from transfercli.workflows.train.find_rate import FindRateRequest, RateResult
    from transfercli.workflows.train.job import Command, TrainRequest
    from transfercli.workflows.train.results import CostEstimate, TrainResult

Config = Annotated[
    Path | None,
    typer.Argument(
        metavar="CONFIG",
        help="a YAML file that describes one experiment (not needed with --resume and --continue)",
        show_default=False,
    ),
]
RunId = Annotated[
    str | None,
    typer.Option("--run-id", metavar="ID", help="id of the run; if it exists, resume it or print its result"),
]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="RUN",
        help="resume an interrupted run; EXPERIMENT is its newest unfinished one",
        autocompletion=completion.runs,
    ),
]
Continue = Annotated[
    str | None,
    typer.Option(
        "--continue",
        metavar="RUN",
        help="train --epochs more epochs after a completed run, as a new run",
        autocompletion=completion.runs,
    ),
]
Epochs = Annotated[int | None, typer.Option("--epochs", metavar="N", min=1, help="with --continue: further epochs")]
FindRate = Annotated[
    bool,
    typer.Option("--find-lr", help="try growing learning rates for a moment, suggest one, and train no run"),
]
Picture = Annotated[
    Path | None,
    typer.Option(
        "--report", metavar="FILE", help="with --find-lr: its picture, PNG; default: RUNS/EXPERIMENT/find-lr.png"
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="estimate the cost and stop before the first training step")]


Folds = Annotated[
    int | None,
    typer.Option(
        "--folds",
        metavar="K",
        min=2,
        max=1000,
        help="cross-validation: train one run for each of K folds, and show mean, spread and predictions out of fold",
        show_default=False,
    ),
]


class RunsFailed(TransferError):
    """Error for a series of which runs failed: that of the first one; carries the result of all."""

    def __init__(self, result: SeriesResult, failure: TransferError) -> None:
        failed = len(result.runs) - len(result.completed)
        text = f"{failed} of {len(result.runs)} {result.kind} failed; the first: {failure.message}"
        super().__init__(text, failure.hint)
        self.kind = failure.kind
        self.result = replace(result, error=error_object(self)["error"])


def _further_epochs(
    run: str | None, epochs: int | None, config: Path | None, resume: str | None, folds: int | None = None
) -> tuple[str, int] | None:
    """Return the run to continue and the number of further epochs, or None without `--continue`.

    Raises `UsageError` if one of the two options is missing, or CONFIG or an option that contradicts them is given.
    """
    if run is None and epochs is None:
        return None
    if run is None or epochs is None:
        hint = "name the completed run with --continue RUN, or set training.epochs with --set training.epochs=N"
        given, missing = ("--epochs", "--continue") if run is None else ("--continue", "--epochs")
        raise UsageError(f"{given} needs {missing}", hint if run is None else "say how many: --epochs N")
    others = {"CONFIG": config, "--resume": resume, "--folds": folds}
    if received := ", ".join(f"{name} {value}" for name, value in others.items() if value is not None):
        raise UsageError(
            f"--continue takes its settings from the run; received {received} too",
            "leave it out; --set changes keys of training.optimizer, training.schedule and training.early_stopping",
        )
    return run, epochs


def _range_test(
    command: Command,
    config: Path | None,
    runs: Path,
    overrides: tuple[str, ...],
    picture: Path | None,
    *,
    find_lr: bool,
    others: Mapping[str, object],
) -> FindRateRequest:
    """Return the request of `--find-lr`. Raises `UsageError` without CONFIG, or if an option of a run is given too."""
    from transfercli.workflows.train.find_rate import FindRateRequest

    if not find_lr:
        raise UsageError("--report needs --find-lr, whose picture it is", "leave it out; a run has its own pictures")
    if given := [option for option, value in others.items() if value is not None]:
        raise UsageError(f"--find-lr makes no run; received {', '.join(given)} too", "leave out one of the two")
    if config is None:
        raise UsageError("CONFIG is missing", "name a config file")
    return FindRateRequest(command, config, runs, overrides, picture)


def _show(result: TrainResult | CostEstimate | SeriesResult | SeriesEstimate | RateResult) -> None:
    from transfercli.workflows.series.result import SeriesEstimate, SeriesResult
    from transfercli.workflows.train.find_rate import RateResult
    from transfercli.workflows.train.results import CostEstimate

    if isinstance(result, RateResult):
        show_rates(result)
    elif isinstance(result, CostEstimate):
        show_estimate(result)
    elif isinstance(result, SeriesEstimate):
        print_text(f"{result.runs} runs, one for each of the {result.kind}; features are computed once\n")
        show_estimate(result.total)
    elif isinstance(result, SeriesResult):
        show_series(result)
    else:
        _show_run(result)


def show_estimate(estimate: CostEstimate) -> None:
    """Print the cost of a training and of each of its phases."""
    memory = estimate.peak_memory_bytes
    print_pairs(
        [
            ("images", images_per_split(estimate.images, estimate.groups)),
            ("classes", ", ".join(estimate.classes)),
            ("parameters", f"{estimate.parameters:,}"),
            ("time for features, about", duration(estimate.feature_seconds)),
            ("features on disk", byte_size(estimate.cache_bytes)),
            ("run on disk, at most", byte_size(estimate.run_bytes)),
            ("time for training, about", f"{duration(estimate.train_seconds)}, compilation included"),
            ("peak memory", byte_size(memory) if memory else None),
            ("not counted", "start of the program and Keras, and reading the images"),
        ]
    )
    print_table(
        ("kind", "unfreeze", "parameters", "epochs", "learning rate", "features", "train"),
        [
            (
                phase.kind,
                f"{phase.unfreeze}, LoRA of rank {phase.lora_rank}" if phase.lora_rank else phase.unfreeze,
                f"{phase.trained:,}",
                phase.epochs,
                f"{phase.learning_rate:g}",
                duration(phase.features),
                duration(phase.train),
            )
            for phase in estimate.phases
        ],
    )


def _show_run(result: TrainResult) -> None:
    print_pairs(
        [
            ("run", result.run),
            ("status", result.status),
            ("best epoch", best_epoch_text(result.best_epoch)),
            *(
                (
                    name.replace("_", " "),
                    f"{result.metrics[name]:.4f}{of_images(name, result.cross_validated, result.adaptation)}",
                )
                for name in ("val_accuracy", "val_loss")
            ),
            *curves_of(result.run),
            ("time", duration(result.seconds["total"] or 0.0)),
            ("next", f"transfercli evaluate {shlex.quote(str(result.run))}"),
        ]
    )


@reports(_show, partial(after_training, "pretrain"))
def pretrain(
    reporter: Reporter,
    config: Config = None,
    overrides: Overrides = None,
    runs: Runs = RUNS,
    run_id: RunId = None,
    resume: Resume = None,
    wait: Wait = 0.0,
    dry_run: DryRun = False,
    continued: Continue = None,
    epochs: Epochs = None,
    find_lr: FindRate = False,
    report: Picture = None,
) -> TrainResult | CostEstimate | SeriesResult | SeriesEstimate | RateResult:
    """Train a base on a source data set, from scratch or weights.

    Example: transfercli pretrain flowers.yaml --set training.epochs=50
    """
    from transfercli.workflows.train.find_rate import find_learning_rate
    from transfercli.workflows.train.train import ContinueRequest, TrainRequest, train

    settings = tuple(overrides or ())
    if find_lr or report is not None:
        others = {"--continue": continued, "--resume": resume, "--run-id": run_id, "--dry-run": dry_run or None}
        request = _range_test("pretrain", config, runs, settings, report, find_lr=find_lr, others=others)
        return find_learning_rate(request, reporter)
    if further := _further_epochs(continued, epochs, config, resume):
        return train(ContinueRequest("pretrain", *further, runs, settings, run_id, wait, dry_run), reporter)
    return _train(TrainRequest("pretrain", config, runs, settings, run_id, resume, wait, dry_run), None, reporter)


@reports(_show, partial(after_training, "finetune"))
def finetune(
    reporter: Reporter,
    config: Config = None,
    overrides: Overrides = None,
    runs: Runs = RUNS,
    run_id: RunId = None,
    resume: Resume = None,
    folds: Folds = None,
    wait: Wait = 0.0,
    dry_run: DryRun = False,
    continued: Continue = None,
    epochs: Epochs = None,
    find_lr: FindRate = False,
    report: Picture = None,
) -> TrainResult | CostEstimate | SeriesResult | SeriesEstimate | RateResult:
    """Train a classifier on a target data set, starting from a base.

    Example: transfercli finetune flowers.yaml --dry-run
    """
    from transfercli.workflows.train.find_rate import find_learning_rate
    from transfercli.workflows.train.train import ContinueRequest, TrainRequest, train

    settings = tuple(overrides or ())
    if find_lr or report is not None:
        others = {
            "--continue": continued,
            "--resume": resume,
            "--folds": folds,
            "--run-id": run_id,
            "--dry-run": dry_run or None,
        }
        request = _range_test("finetune", config, runs, settings, report, find_lr=find_lr, others=others)
        return find_learning_rate(request, reporter)
    if further := _further_epochs(continued, epochs, config, resume, folds):
        return train(ContinueRequest("finetune", *further, runs, settings, run_id, wait, dry_run), reporter)
    return _train(TrainRequest("finetune", config, runs, settings, run_id, resume, wait, dry_run), folds, reporter)


def _train(
    request: TrainRequest, folds: int | None, reporter: Reporter
) -> TrainResult | CostEstimate | SeriesResult | SeriesEstimate:
    """Train a run or a series. Raises `RunsFailed` if runs of a series failed."""
    from transfercli.workflows.series.result import SeriesResult
    from transfercli.workflows.series.series import train_run_or_series

    result = train_run_or_series(request, folds, reporter)
    if isinstance(result, SeriesResult) and (failure := result.failure):
        raise RunsFailed(result, failure)
    return result
