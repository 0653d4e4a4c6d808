"""Recipe of `sweep`: open the study, train its trials, choose the winner."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from transfercli.config.dump import dump_values
from transfercli.config.loader import LoadedConfig, load
from transfercli.config.schema import SweepConfig
from transfercli.errors import ConfigError
from transfercli.io import atomic
from transfercli.reporting import Reporter
from transfercli.runs.folder import check_run_id
from transfercli.runs.lock import experiment_lock
from transfercli.workflows.sweep.pool import threads_of_each, train_trials
from transfercli.workflows.sweep.result import SweepRequest, SweepResult, TrialRow
from transfercli.workflows.sweep.space import dimensions
from transfercli.workflows.sweep.study import DEFAULT_TRIALS, open_study
from transfercli.workflows.sweep.trials import TrialSpec

if TYPE_CHECKING:
    import optuna


def sweep(request: SweepRequest, reporter: Reporter) -> SweepResult:
    """Train the trials of a sweep that are not trained yet; return all of them, and the winner."""
    started = time.perf_counter()
    loaded = load(request.config, request.overrides)
    settings = loaded.config.sweep
    if settings is None:
        raise ConfigError(f"{request.config}: sweep: is missing", "add a section sweep with a space")
    sweep_id = check_run_id(request.sweep_id or default_id(loaded, settings))
    experiment = request.runs / loaded.config.name
    folder = experiment / "sweeps" / sweep_id
    waiting = partial(reporter.progress, "waiting for the lock", 0, 1, "")
    with loaded.placing(), experiment_lock(experiment, request.wait, waiting, shared=True):
        atomic.make_folder(folder)
        study = open_study(folder, sweep_id, settings, loaded.config.seed, request.storage)
        rows = _train(study, request, settings, sweep_id, reporter)
    winner = max((row for row in rows if row.value is not None), key=lambda row: row.value or 0.0, default=None)
    return SweepResult(
        sweep_id,
        loaded.config.name,
        folder,
        settings.metric,
        tuple(rows),
        {"trial": winner.number, "run": str(winner.run), "naive": winner.value} if winner else None,
        seconds=round(time.perf_counter() - started, 3),
    )


def default_id(loaded: LoadedConfig, settings: SweepConfig) -> str:
    """Return the id of a sweep that has none: it follows from the config, without the number of trials and budget."""
    values = loaded.config.model_dump()
    for key in ("trials", "budget"):
        del values["sweep"][key]
    return f"sweep-{hashlib.sha256(dump_values(values).encode()).hexdigest()[:8]}"


@dataclass
class _Source:
    """Trials of a study, one after the other."""

    study: optuna.Study
    request: SweepRequest
    settings: SweepConfig
    sweep_id: str
    rows: list[TrialRow] = field(default_factory=list)
    running: dict[int, optuna.Trial] = field(default_factory=dict)

    def next(self) -> TrialSpec | None:
        if len(self.rows) + len(self.running) >= (self.settings.trials or DEFAULT_TRIALS):
            return None
        trial = self.study.ask()
        self.running[trial.number] = trial
        values = {dimension.key: dimension.suggest(trial) for dimension in dimensions(self.settings)}
        request, threads = self.request, threads_of_each(self.request.jobs)
        overrides = (*request.overrides, *([f"compute.threads={threads}"] if threads else []))
        return TrialSpec(
            request.config, overrides, request.runs, self.sweep_id, trial.number, values, self.settings.metric
        )

    def report(self, number: int, epoch: int, value: float) -> bool:
        trial = self.running[number]
        trial.report(value, epoch)
        return False

    def done(self, row: TrialRow) -> None:
        trial = self.running.pop(row.number)
        self.rows.append(row)
        if row.value is None:
            self.study.tell(trial, state=optuna_state("FAIL"))
        else:
            self.study.tell(trial, row.value)


def optuna_state(name: str) -> Any:
    from optuna.trial import TrialState

    return TrialState[name]


def _train(
    study: optuna.Study, request: SweepRequest, settings: SweepConfig, sweep_id: str, reporter: Reporter
) -> list[TrialRow]:
    source = _Source(study, request, settings, sweep_id)
    train_trials(source, request.jobs, reporter)
    return sorted(source.rows, key=lambda row: row.number)
