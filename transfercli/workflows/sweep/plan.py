"""Plan of a sweep, for `--dry-run`: its trials, and an estimate of what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from transfercli.errors import ConfigError
from transfercli.reporting import Reporter
from transfercli.text import counted, duration
from transfercli.workflows.sweep.result import SweepRequest
from transfercli.workflows.sweep.search.space import Space, overrides_of
from transfercli.workflows.sweep.search.study import id_of, read_search, total_trials
from transfercli.workflows.train.results import CostEstimate
from transfercli.workflows.train.train import TrainRequest, train

BASE = "model.base"


@dataclass(frozen=True)
class SweepPlan:
    """A sweep that is not started.

    Attributes:
        trials: number of trials in all.
        combinations: number of combinations that the config allows; None if there is no end of them, or too many.
        estimates: (base, estimate for one of its trials) of each base in the space.
    """

    sweep: str
    experiment: str
    keys: tuple[str, ...]
    trials: int
    combinations: int | None
    estimates: tuple[tuple[str, CostEstimate], ...]

    @property
    def seconds(self) -> float:
        """Estimated time: the features once a base, and the training of all trials with no early end, one by one."""
        features = sum(cost.feature_seconds for _, cost in self.estimates)
        training = sum(cost.train_seconds for _, cost in self.estimates) / len(self.estimates)
        return round(features + self.trials * training, 1)

    def as_json(self) -> dict[str, Any]:
        return {
            "sweep": self.sweep,
            "experiment": self.experiment,
            "status": "dry-run",
            "total": self.trials,
            "combinations": self.combinations,
            "bases": [
                {"base": base, "seconds": {"features": cost.feature_seconds, "train": cost.train_seconds}}
                for base, cost in self.estimates
            ],
            "seconds": self.seconds,
        }

    def pairs(self) -> list[tuple[str, Any]]:
        """Return the plan as (name, value), for a person."""
        features, trials = "features of the frozen layers", f"training of {counted(self.trials, 'trial')}"
        return [
            ("sweep", f"{self.experiment}/{self.sweep}"),
            ("trials", self.trials if self.combinations is None else f"{self.trials} of {self.combinations} possible"),
            *(
                (base, f"{features} {duration(cost.feature_seconds)}, training {duration(cost.train_seconds)} a trial")
                for base, cost in self.estimates
            ),
            ("time, about", f"{duration(self.seconds)}: {features} once a base, {trials} one by one, none ended early"),
            ("not counted", "start of the program and Keras, and reading the images"),
        ]


def plan(request: SweepRequest, reporter: Reporter) -> SweepPlan:
    """Return the plan of a sweep; nothing is trained or written."""
    loaded, settings, space = read_search(request.config, request.overrides)
    estimates = []
    for base, values in _first_of_each_base(space, loaded.config.model.base):
        reporter.info(f"cost of a trial, such as {space.shown(values)}")
        overrides = (*request.overrides, *overrides_of(values))
        cost = train(TrainRequest("finetune", request.config, request.runs, overrides, dry_run=True), reporter)
        assert isinstance(cost, CostEstimate), "a dry run was asked for"
        estimates.append((base, cost))
    return SweepPlan(
        id_of(loaded, request.sweep_id),
        loaded.config.name,
        space.keys,
        total_trials(settings, space),
        None if space.listed is None else len(space.listed),
        tuple(estimates),
    )


def _first_of_each_base(space: Space, own: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (base, values of a trial with it). Raises `ConfigError` if no values are possible with a base."""
    dimension = next((one for one in space.dimensions if one.key == BASE), None)
    for base in (dimension.finite or ()) if dimension else (own,):
        given = {} if dimension is None else {BASE: base}
        values = next((values for values in space.examples(given) if space.problem(values) is None), None)
        if values is None:
            raise ConfigError(f"sweep.space.{BASE}: no values of the other keys are possible with {base}", None)
        yield str(base), values
