"""Workflow of `--find-lr`: a learning-rate range test of the first gradient phase of a config, and its picture.

No run is made, and no weight is kept.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.errors import ConfigError
from transfercli.io import atomic
from transfercli.reporting import Reporter
from transfercli.runs.folder import range_test_file
from transfercli.training.keras_import import check_backend
from transfercli.workflows.train.job import Command, Job, TrainRequest, resolve_job
from transfercli.workflows.train.stopwatch import Stopwatch
from transfercli.workflows.train.train import prepare

if TYPE_CHECKING:
    from transfercli.training.phases import Phase
    from transfercli.training.range_test import RatePoint, Suggestion

OPTIMIZER_RATE = "training.optimizer.learning_rate"


@dataclass(frozen=True)
class FindRateRequest:
    """Options of `--find-lr`. picture: PNG file to write; None: in the folder of the experiment."""

    command: Command
    config: Path
    runs: Path
    overrides: tuple[str, ...] = ()
    picture: Path | None = None


@dataclass(frozen=True)
class RateResult:
    """Result of a range test.

    Attributes:
        key: key of the config that the rates are values of.
        phase: the phase that was tested, the first that trains by gradients; number: of the phase, from 1.
        phase_rate: its learning rate, as a fraction of the key's value.
        configured: the key's value in the config.
        found: the suggested rates; None if the loss did not clearly fall.
        points: one for each update.
        picture: file with the curve.
    """

    key: str
    phase: Phase
    number: int
    phase_rate: float
    configured: float
    found: Suggestion | None
    points: tuple[RatePoint, ...]
    picture: Path

    @property
    def suggestion(self) -> float | None:
        """The suggested value of the key, with two digits; None without."""
        return None if self.found is None else float(f"{self.found.tenth:.1e}")

    def as_json(self) -> dict[str, Any]:
        found = self.found
        return {
            "suggestion": self.suggestion,
            "key": self.key,
            "configured": self.configured,
            "steepest": None if found is None else found.steepest,
            "minimum": None if found is None else found.minimum,
            "phase": {"number": self.number, **asdict(self.phase)},
            "phase_rate": self.phase_rate,
            "curve": [asdict(point) for point in self.points],
            "picture": str(self.picture),
        }


def find_learning_rate(request: FindRateRequest, reporter: Reporter) -> RateResult:
    """Test the learning rates of the first gradient phase of a config, and draw the loss over the rate.

    Raises `ConfigError` if no phase of the config trains by gradients.
    """
    job = resolve_job(TrainRequest(request.command, request.config, request.runs, request.overrides), reporter)
    check_backend()
    for warning in job.warnings:
        reporter.warning(warning)
    with job.loaded.placing():
        trainer = prepare(job, Stopwatch(), reporter).setup.trainer
    from transfercli.evaluation.report.plots import rate_curve_png
    from transfercli.training.range_test import begin_first_gradient_phase, range_test, suggested_rates

    begun = begin_first_gradient_phase(trainer)
    if begun is None:
        raise ConfigError(
            "no phase of this config trains by gradients: its head is solved for, and a solution has no learning rate",
            "train as it is; or test a strategy that trains, such as --set transfer.strategy=partial",
        )
    phase, setup = begun
    key, configured, share = _key_of(job, phase)
    points = range_test(trainer, phase, setup, share)
    found, picture = suggested_rates(points), request.picture or range_test_file(job.run.path.parent)
    if found is None:
        reporter.warning("the loss did not clearly fall at any rate, so none is suggested: see the picture")
    result = RateResult(key, phase, trainer.progress.phase, share, configured, found, tuple(points), picture)
    title = f"learning rates of {job.config.name}, phase {result.number}"
    atomic.make_folder(picture.parent)
    atomic.write_bytes(picture, rate_curve_png(points, found, configured, title))
    return result


def _key_of(job: Job, phase: Phase) -> tuple[str, float, float]:
    """Return the key that sets the rate of the first gradient phase, its value, and the phase's rate as a fraction."""
    explicit = job.config.transfer.phases
    if explicit and explicit[0].learning_rate is not None:
        return "transfer.phases[0].learning_rate", phase.learning_rate, 1.0
    rate = job.config.training.optimizer.learning_rate
    return OPTIMIZER_RATE, rate, phase.learning_rate / rate
