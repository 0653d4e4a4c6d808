"""MLflow tracking, if `tracking.mlflow` is set: the config as params, epochs and evaluations as metrics, and files.

Only MLflow's client is used: its fluent interface would record the user's name and the program's path. If the store
fails during a training, the program warns once and logs nothing more there; the training continues.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transfercli.config.paths import base_of
from transfercli.errors import ConfigError, UsageError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder

INSTALL = "pip install 'transfercli[mlflow]'"
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:")
SQLITE = "sqlite:///"
DATABASE, ARTEFACTS = "mlflow.db", "mlartifacts"
LABEL = "transfercli.run"
MAX_PARAM, PARAMS_PER_REQUEST = 500, 100  # characters of a param, in every version of MLflow
FILES = ("config.yaml", "labels.json", "metrics.jsonl", "history.png", "batch.png", "run.json", "log.txt")
# Environment: a store that cannot be reached fails within seconds, unless the user set other values.
LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "ERROR"}


def check_installed() -> None:
    """Raise `UsageError` if MLflow is not installed; its hint is the line that installs it."""
    if find_spec("mlflow") is None:
        raise UsageError("tracking.mlflow is set, but MLflow is not installed", f"install it: {INSTALL}")


def store_address(text: str) -> str:
    """Return the address of a store as MLflow takes it.

    Relative paths of folders and SQLite files start from the folder of the config. A folder as store contains a SQLite
    database, `mlflow.db`, and the artefacts.
    """
    if text.startswith(SQLITE):
        return SQLITE + str((base_of(text) / text.removeprefix(SQLITE)).resolve())
    if SCHEME.match(text):
        return text
    return f"{SQLITE}{(base_of(text) / text).expanduser().resolve() / DATABASE}"


class MlflowRun:
    """Run in the MLflow store, created if it does not exist; a resumed run continues its run there.

    Raises `ConfigError` if the store cannot be reached or returns an error.
    """

    def __init__(self, address: str, run: RunFolder, reporter: Reporter) -> None:
        for name, value in (LIMITS | QUIET).items():
            os.environ.setdefault(name, value)
        self._run, self._reporter, self._failed = run, reporter, False
        try:
            from mlflow import MlflowClient

            self._client = MlflowClient(tracking_uri=address)
            self._id = self._find_or_create(_experiment_id(self._client, run.experiment, address))
        except Exception as error:  # MLflow, SQLAlchemy and requests have no common error class
            raise ConfigError(
                f"tracking.mlflow: the store cannot be used: {_first_line(error)}",
                "start its server, correct the address, or set tracking.mlflow to null",
            ) from error

    def _find_or_create(self, experiment: str) -> str:
        """Return the id of this run in the store."""
        query = f"tags.`{LABEL}` = '{self._run.label}'"
        runs = self._client.search_runs([experiment], query, max_results=1)
        if runs:
            return str(runs[0].info.run_id)
        tags = {LABEL: self._run.label, "mlflow.source.type": "LOCAL"}
        return str(self._client.create_run(experiment, run_name=self._run.run_id, tags=tags).info.run_id)

    def begin(self, config: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Log the config as params (a resumed run has the same), and tags."""
        from mlflow.entities import Param, RunTag

        params = [Param(key, value[:MAX_PARAM]) for key, value in flat(config) if not key.startswith("tracking.")]

        def send() -> None:
            self._client.update_run(self._id, status="RUNNING")
            for start in range(0, len(params), PARAMS_PER_REQUEST):
                self._client.log_batch(self._id, params=params[start : start + PARAMS_PER_REQUEST])
            self._client.log_batch(self._id, tags=[RunTag(key, value) for key, value in tags.items()])

        self._try(send)

    def epoch(self, line: Mapping[str, Any]) -> None:
        """Log the numbers of a line of metrics.jsonl, with its epoch as the step."""
        numbers = {key: value for key, value in line.items() if isinstance(value, int | float) and key != "epoch"}
        self.metrics(numbers, int(line["epoch"]))

    def metrics(self, numbers: Mapping[str, float | None], step: int) -> None:
        """Log numbers as metrics; None is left out."""
        import time

        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(key, float(value), now, step) for key, value in numbers.items() if value is not None]
        self._try(lambda: self._client.log_batch(self._id, metrics=metrics))

    def files(self, paths: Sequence[Path], folder: str | None = None) -> None:
        """Log the existing files of `paths` as artefacts, in a folder of the store."""
        for path in paths:
            if path.exists():
                self._try(lambda path=path: self._client.log_artifact(self._id, str(path), folder))  # type: ignore[misc]

    def end(self, status: str) -> None:
        """Log the run's files and its status: FINISHED, FAILED or KILLED."""
        self.files([self._run.path / name for name in FILES])
        self._try(lambda: self._client.set_terminated(self._id, status=status))

    def _try(self, send: Callable[[], object]) -> None:
        if self._failed:
            return
        try:
            send()
        except Exception as error:
            self._failed = True
            self._reporter.warning(f"MLflow failed; nothing more of this run is logged there: {_first_line(error)}")


def _experiment_id(client: Any, name: str, address: str) -> str:
    """Return the id of the experiment, created if it does not exist; another process may create it meanwhile."""
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        local = str(Path(address.removeprefix(SQLITE)).parent / ARTEFACTS) if address.startswith(SQLITE) else None
        try:
            return str(client.create_experiment(name, artifact_location=local))
        except MlflowException:
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    return str(experiment.experiment_id)


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested keys joined by dots, and values as text: `{"a": {"b": 1}}` -> ("a.b", "1")."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield re.sub(r"[^\w.\-/ ]", "_", f"{prefix}{key}"), "null" if value is None else str(value)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
