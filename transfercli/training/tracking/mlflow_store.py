"""MLflow, where `tracking.mlflow` names a store: the config as params, epochs and evaluations as metrics, files.

Only MLflow's client is used: its fluent interface would note the user's and the program's place on this machine.
A store that fails while a training goes on is told once and left alone: a training does not end for want of a log.
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
LONGEST, AT_ONCE = 500, 100  # characters of a param in every version; params in one request
FILES = ("config.yaml", "labels.json", "metrics.jsonl", "history.png", "batch.png", "run.json", "log.txt")
# A store that cannot be reached is told within seconds, unless the user says otherwise.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "ERROR"}


def check_installed() -> None:
    """Raises `UsageError` with the line that installs MLflow, where it is not."""
    if find_spec("mlflow") is None:
        raise UsageError("tracking.mlflow names a store, and MLflow is not installed", f"install it: {INSTALL}")


def store_address(text: str) -> str:
    """The address of a store as MLflow takes it. A folder, or a SQLite file's relative place, starts from the config's.

    A folder holds a SQLite database, `mlflow.db`, and artefacts beside it.
    """
    if text.startswith(SQLITE):
        return SQLITE + str((base_of(text) / text.removeprefix(SQLITE)).resolve())
    if SCHEME.match(text):
        return text
    return f"{SQLITE}{(base_of(text) / text).expanduser().resolve() / DATABASE}"


class MlflowRun:
    """One run of ours in the store, made where it is not there yet; a run that goes on goes on there, too.

    Raises `ConfigError` where the store cannot be reached or refuses.
    """

    def __init__(self, address: str, run: RunFolder, reporter: Reporter) -> None:
        for name, value in (PATIENCE | QUIET).items():
            os.environ.setdefault(name, value)
        self._run, self._reporter, self._failed = run, reporter, False
        try:
            from mlflow import MlflowClient

            self._client = MlflowClient(tracking_uri=address)
            self._id = self._find(_experiment(self._client, run.experiment, address))
        except Exception as error:  # of MLflow, of SQLAlchemy, of requests: there is no common one
            raise ConfigError(
                f"tracking.mlflow: the store cannot be used: {_first_line(error)}",
                "start its server, mend the address, or set tracking.mlflow to null",
            ) from error

    def _find(self, experiment: str) -> str:
        wanted = f"tags.`{LABEL}` = '{self._run.label}'"
        found = self._client.search_runs([experiment], wanted, max_results=1)
        if found:
            return str(found[0].info.run_id)
        tags = {LABEL: self._run.label, "mlflow.source.type": "LOCAL"}
        return str(self._client.create_run(experiment, run_name=self._run.run_id, tags=tags).info.run_id)

    def begin(self, config: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """The config as params (a run that goes on has the same ones), and tags."""
        from mlflow.entities import Param, RunTag

        params = [Param(key, value[:LONGEST]) for key, value in flat(config) if not key.startswith("tracking.")]

        def send() -> None:
            self._client.update_run(self._id, status="RUNNING")
            for start in range(0, len(params), AT_ONCE):
                self._client.log_batch(self._id, params=params[start : start + AT_ONCE])
            self._client.log_batch(self._id, tags=[RunTag(key, value) for key, value in tags.items()])

        self._try(send)

    def epoch(self, line: Mapping[str, Any]) -> None:
        """A line of metrics.jsonl: its numbers, at the step of its epoch."""
        numbers = {key: value for key, value in line.items() if isinstance(value, int | float) and key != "epoch"}
        self.metrics(numbers, int(line["epoch"]))

    def metrics(self, numbers: Mapping[str, float | None], step: int) -> None:
        import time

        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        told = [Metric(key, float(value), now, step) for key, value in numbers.items() if value is not None]
        self._try(lambda: self._client.log_batch(self._id, metrics=told))

    def files(self, paths: Sequence[Path], place: str | None = None) -> None:
        """Files as artefacts, those that are there."""
        for path in paths:
            if path.exists():
                self._try(lambda path=path: self._client.log_artifact(self._id, str(path), place))  # type: ignore[misc]

    def end(self, status: str) -> None:
        """status: FINISHED, FAILED or KILLED. The run's own files go along."""
        self.files([self._run.path / name for name in FILES])
        self._try(lambda: self._client.set_terminated(self._id, status=status))

    def _try(self, send: Callable[[], object]) -> None:
        if self._failed:
            return
        try:
            send()
        except Exception as error:
            self._failed = True
            self._reporter.warning(f"MLflow failed, and gets nothing more of this run: {_first_line(error)}")


def _experiment(client: Any, name: str, address: str) -> str:
    """The id of the experiment, made where it is not there; another process may be quicker."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        local = str(Path(address.removeprefix(SQLITE)).parent / ARTEFACTS) if address.startswith(SQLITE) else None
        try:
            return str(client.create_experiment(name, artifact_location=local))
        except MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested keys with dots, values as text: `{"a": {"b": 1}}` -> ("a.b", "1")."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield re.sub(r"[^\w.\-/ ]", "_", f"{prefix}{key}"), "null" if value is None else str(value)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
