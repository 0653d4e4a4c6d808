"""Commands `transfercli pretrain` and `transfercli finetune`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from transfercli.cli.ui.tables import print_text
from transfercli.cli.ui.training_results import show_estimate, show_run
from transfercli.errors import TransferError, UsageError
from transfercli.reporting import Reporter

if TYPE_CHECKING:
    from transfercli.workflows.series.result import SeriesEstimate, SeriesResult
    from transfercli.workflows.train.continuation import ContinueRequest
    from transfercli.workflows.train.find_rate import FindRateRequest, RateResult
    from transfercli.workflows.train.job import TrainRequest
    from transfercli.workflows.train.results import CostEstimate, TrainResult

    Trained = TrainResult | CostEstimate | SeriesResult | SeriesEstimate | RateResult

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


@dataclass(frozen=True)
class _Mode:
    """Options that make other work than one new run of a config: `--folds`, `--continue`, `--epochs` and `--find-lr`.

    picture: file of `--report`.
    """

    continued: str | None
    epochs: int | None
    find_lr: bool
    picture: Path | None
    folds: int | None = None


def _work(request: TrainRequest, mode: _Mode, reporter: Reporter) -> Trained:
    """Do the work that the options mean. Raises `RunsFailed` if runs of a series failed."""
    from transfercli.workflows.series.result import SeriesResult
    from transfercli.workflows.series.series import train_run_or_series
    from transfercli.workflows.train.find_rate import find_learning_rate
    from transfercli.workflows.train.train import train

    if mode.find_lr or mode.picture is not None:
        return find_learning_rate(_range_test(request, mode), reporter)
    if mode.continued is not None or mode.epochs is not None:
        return train(_continuation(request, mode), reporter)
    result = train_run_or_series(request, mode.folds, reporter)
    if isinstance(result, SeriesResult) and (failure := result.failure):
        raise RunsFailed(result, failure)
    return result


def _range_test(request: TrainRequest, mode: _Mode) -> FindRateRequest:
    """Return the request of `--find-lr`. Raises `UsageError` without CONFIG, or if an option of a run is given too."""
    from transfercli.workflows.train.find_rate import FindRateRequest

    if not mode.find_lr:
        raise UsageError("--report needs --find-lr, whose picture it is", "leave it out; a run has its own pictures")
    others: Mapping[str, object] = {
        "--continue": mode.continued,
        "--resume": request.resume,
        "--folds": mode.folds,
        "--run-id": request.run_id,
        "--dry-run": request.dry_run or None,
    }
    if given := [option for option, value in others.items() if value is not None]:
        raise UsageError(f"--find-lr makes no run; received {', '.join(given)} too", "leave out one of the two")
    if request.config is None:
        raise UsageError("CONFIG is missing", "name a config file")
    return FindRateRequest(request.command, request.config, request.runs, request.overrides, mode.picture)


def _continuation(request: TrainRequest, mode: _Mode) -> ContinueRequest:
    """Return the request of `--continue`.

    Raises `UsageError` if `--continue` or `--epochs` is missing, or CONFIG or an option that contradicts them is given.
    """
    from transfercli.workflows.train.continuation import ContinueRequest

    if mode.continued is None:
        raise UsageError(
            "--epochs needs --continue RUN, the completed run that is to train further epochs",
            "did you mean --set training.epochs=VALUE?",
        )
    if mode.epochs is None:
        raise UsageError("--continue needs --epochs", "say how many: --epochs N")
    others = {"CONFIG": request.config, "--resume": request.resume, "--folds": mode.folds}
    if received := ", ".join(f"{name} {value}" for name, value in others.items() if value is not None):
        raise UsageError(
            f"--continue takes its settings from the run; received {received} too",
            "leave it out; --set changes keys of training.optimizer, training.schedule and training.early_stopping",
        )
    return ContinueRequest(
        request.command,
        mode.continued,
        mode.epochs,
        request.runs,
        request.overrides,
        request.run_id,
        request.wait,
        request.dry_run,
    )


def _show(result: Trained) -> None:
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
        show_run(result)


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
) -> Trained:
    """Train a base on a source data set, from scratch or weights.

    Example: transfercli pretrain flowers.yaml --set training.epochs=50
    """
    from transfercli.workflows.train.job import TrainRequest

    request = TrainRequest("pretrain", config, runs, tuple(overrides or ()), run_id, resume, wait, dry_run)
    return _work(request, _Mode(continued, epochs, find_lr, report), reporter)


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
) -> Trained:
    """Train a classifier on a target data set, starting from a base.

    Example: transfercli finetune flowers.yaml --dry-run
    """
    from transfercli.workflows.train.job import TrainRequest

    request = TrainRequest("finetune", config, runs, tuple(overrides or ()), run_id, resume, wait, dry_run)
    return _work(request, _Mode(continued, epochs, find_lr, report, folds), reporter)
