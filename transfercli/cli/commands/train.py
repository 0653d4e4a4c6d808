"""Commands `transfercli pretrain` and `transfercli finetune`."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from transfercli.cli import completion
from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_training
from transfercli.cli.options import RUNS, Overrides, Runs, Wait
from transfercli.cli.ui.series_tables import show_series
from transfercli.cli.ui.tables import print_pairs, print_table, print_text
from transfercli.cli.ui.training_results import best_epoch_text, curves_of, of_images
from transfercli.errors import TransferError
from transfercli.reporting import Reporter
from transfercli.text import byte_size, duration, images_per_split

if TYPE_CHECKING:
    from transfercli.workflows.series.result import SeriesEstimate, SeriesResult
    from transfercli.workflows.train.job import TrainRequest
    from transfercli.workflows.train.results import CostEstimate, TrainResult

Config = Annotated[
    Path | None,
    typer.Argument(
        metavar="CONFIG",
        help="a YAML file that describes one experiment (not needed with --resume)",
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
        self.kind, self.result = failure.kind, result


def _show(result: TrainResult | CostEstimate | SeriesResult | SeriesEstimate) -> None:
    from transfercli.workflows.series.result import SeriesEstimate, SeriesResult
    from transfercli.workflows.train.results import CostEstimate

    if isinstance(result, CostEstimate):
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
) -> TrainResult | CostEstimate | SeriesResult | SeriesEstimate:
    """Train a base on a source data set, from scratch or weights.

    Example: transfercli pretrain flowers.yaml --set training.epochs=50
    """
    from transfercli.workflows.train.job import TrainRequest

    request = TrainRequest("pretrain", config, runs, tuple(overrides or ()), run_id, resume, wait, dry_run)
    return _train(request, None, reporter)


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
) -> TrainResult | CostEstimate | SeriesResult | SeriesEstimate:
    """Train a classifier on a target data set, starting from a base.

    Example: transfercli finetune flowers.yaml --dry-run
    """
    from transfercli.workflows.train.job import TrainRequest

    request = TrainRequest("finetune", config, runs, tuple(overrides or ()), run_id, resume, wait, dry_run)
    return _train(request, folds, reporter)


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
