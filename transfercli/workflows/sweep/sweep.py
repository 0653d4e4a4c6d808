"""Recipe of `sweep`: open the study, train its trials, choose the winner."""

from __future__ import annotations

import hashlib
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.config.dump import dump_values
from transfercli.config.loader import LoadedConfig, load
from transfercli.config.schema import SweepConfig
from transfercli.errors import ConfigError
from transfercli.io import atomic
from transfercli.reporting import Reporter
from transfercli.runs.folder import check_run_id
from transfercli.runs.lock import experiment_lock
from transfercli.workflows.sweep.result import SweepRequest, SweepResult, TrialRow
from transfercli.workflows.sweep.space import dimensions
from transfercli.workflows.sweep.study import DEFAULT_TRIALS, open_study
from transfercli.workflows.sweep.trials import TrialSpec, run_trial
from transfercli.workflows.sweep.winner import choose_winner

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
    with loaded.placing(), experiment_lock(experiment, request.wait, waiting):
        atomic.make_folder(folder)
        study = open_study(folder, sweep_id, settings, loaded.config.seed, request.storage)
        rows = _train(study, request, settings, sweep_id, reporter)
    winner = choose_winner(rows, settings.metric, folder, loaded.config.seed, reporter)
    return SweepResult(
        sweep_id,
        loaded.config.name,
        folder,
        settings.metric,
        tuple(rows),
        winner.as_json() if winner else None,
        seconds=round(time.perf_counter() - started, 3),
    )


def default_id(loaded: LoadedConfig, settings: SweepConfig) -> str:
    """Return the id of a sweep that has none: it follows from the config, without the number of trials and budget."""
    values = loaded.config.model_dump()
    for key in ("trials", "budget"):
        del values["sweep"][key]
    return f"sweep-{hashlib.sha256(dump_values(values).encode()).hexdigest()[:8]}"


def _train(
    study: optuna.Study, request: SweepRequest, settings: SweepConfig, sweep_id: str, reporter: Reporter
) -> list[TrialRow]:
    rows, space = [], dimensions(settings)
    for _ in range(settings.trials or DEFAULT_TRIALS):
        trial = study.ask()
        values: dict[str, Any] = {dimension.key: dimension.suggest(trial) for dimension in space}
        spec = TrialSpec(request.config, request.overrides, request.runs, sweep_id, trial.number, values)
        result = run_trial(spec, reporter)
        value = result.metrics["val_accuracy"]
        study.tell(trial, value)
        rows.append(TrialRow(trial.number, values, "completed", Path(result.run), (result.run,), value))
    return rows
