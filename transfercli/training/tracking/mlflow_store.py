"""MLflow tracking, if `tracking.mlflow` is set: the config as params, epochs and evaluations as metrics, and files.

Only MLflow's client is used: its fluent interface would record the user's name and the program's path. A store that
does not answer never ends a command: it warns once, and what the store missed is kept in the run. The end of the
training, and the next command that logs something of the run, send it.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from transfercli.config.paths import base_of
from transfercli.errors import UsageError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.text import first_line
from transfercli.training.tracking.pending import Call, PendingCalls

INSTALL = "pip install 'transfercli[mlflow]'"
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:")
SQLITE = "sqlite:///"
DATABASE, ARTEFACTS = "mlflow.db", "mlartifacts"
LABEL = "transfercli.run"
MAX_PARAM, PARAMS_PER_REQUEST = 500, 100  # characters of a param, in every version of MLflow
FILES = ("config.yaml", "labels.json", "metrics.jsonl", "history.png", "batch.png", "run.json", "log.txt")
# Environment: a store that cannot be reached fails within seconds, unless the user set other values.
LIMITS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
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

    Every method makes one call or keeps it for later; none raises an error.
    """

    def __init__(self, address: str, run: RunFolder, reporter: Reporter) -> None:
        self._address, self._run, self._reporter = address, run, reporter
        self._pending = PendingCalls(run.pending_calls)
        self._client: Any = None
        self._id = ""
        self._warned = False
        self._failed = False  # then calls are kept without a try, so that a training does not wait for every epoch

    def begin(self, config: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Log the config as params (a resumed run has the same), and tags."""
        params = {key: value[:MAX_PARAM] for key, value in flat(config) if not key.startswith("tracking.")}
        self._call({"call": "begin", "params": params, "tags": dict(tags)})

    def epoch(self, line: Mapping[str, Any]) -> None:
        """Log the numbers of a line of metrics.jsonl, with its epoch as the step."""
        numbers = {key: value for key, value in line.items() if isinstance(value, int | float) and key != "epoch"}
        self.metrics(numbers, int(line["epoch"]))

    def metrics(self, numbers: Mapping[str, float | None], step: int) -> None:
        """Log numbers as metrics; None is left out."""
        values = {key: float(value) for key, value in numbers.items() if value is not None}
        self._call({"call": "metrics", "values": values, "step": step, "time_ms": int(time.time() * 1000)})

    def files(self, paths: Sequence[Path], folder: str | None = None) -> None:
        """Log the existing files of `paths`, which are in the run, as artefacts, in a folder of the store."""
        names = [path.relative_to(self._run.path).as_posix() for path in paths if path.exists()]
        if names:
            self._call({"call": "files", "names": names, "folder": folder})

    def end(self, status: str) -> None:
        """Log the run's files and its status: FINISHED, FAILED or KILLED. A store that failed gets another try."""
        self._failed = False
        self.files([self._run.path / name for name in FILES])
        self._call({"call": "end", "status": status})

    def _call(self, call: Call) -> None:
        """Send the calls that were kept, then this one; keep it if that fails."""
        if not self._failed:
            try:
                self._connect()
                self._pending.send(self._send)
                self._send(call)
            except Exception as error:  # MLflow, SQLAlchemy and requests have no common error class
                self._failed = True
                self._warn(error)
            else:
                return
        self._pending.add(call)

    def _warn(self, error: Exception) -> None:
        """Warn once that the store cannot be used."""
        if not self._warned:
            self._reporter.warning(
                f"tracking.mlflow: the store cannot be used: {first_line(error)}; what it misses is kept in"
                f" {self._run.label}, and sent when that is evaluated or resumed"
            )
        self._warned = True

    def _connect(self) -> None:
        if self._client is not None:
            return
        for name, value in (LIMITS | QUIET).items():
            os.environ.setdefault(name, value)
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns of every retry
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=self._address)
        self._id = self._find_or_create(client, _experiment_id(client, self._run.experiment, self._address))
        self._client = client

    def _find_or_create(self, client: Any, experiment: str) -> str:
        """Return the id of this run in the store."""
        query = f"tags.`{LABEL}` = '{self._run.label}'"
        runs = client.search_runs([experiment], query, max_results=1)
        if runs:
            return str(runs[0].info.run_id)
        tags = {LABEL: self._run.label, "mlflow.source.type": "LOCAL"}
        return str(client.create_run(experiment, run_name=self._run.run_id, tags=tags).info.run_id)

    def _send(self, call: Call) -> None:
        """Make one call of the store; one that was made before changes nothing. Drop a call that the store refuses."""
        try:
            self._make(call)
        except Exception as error:
            if not _is_refusal(error):
                raise
            self._reporter.warning(f"tracking.mlflow: the store refuses {call.get('call')}: {first_line(error)}")

    def _make(self, call: Call) -> None:
        from mlflow.entities import Metric, Param, RunTag

        if call["call"] == "begin":
            self._client.update_run(self._id, status="RUNNING")
            params = [Param(key, value) for key, value in call["params"].items()]
            for start in range(0, len(params), PARAMS_PER_REQUEST):
                self._client.log_batch(self._id, params=params[start : start + PARAMS_PER_REQUEST])
            self._client.log_batch(self._id, tags=[RunTag(key, value) for key, value in call["tags"].items()])
        elif call["call"] == "metrics":
            metrics = [Metric(key, value, call["time_ms"], call["step"]) for key, value in call["values"].items()]
            self._client.log_batch(self._id, metrics=metrics)
        elif call["call"] == "files":
            for name in call["names"]:
                path = self._run.path / name
                inside = not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts
                if inside and path.exists():  # an evaluation that was kept may be gone
                    self._client.log_artifact(self._id, str(path), call["folder"])
        elif call["call"] == "end":
            self._client.set_terminated(self._id, status=call["status"])


def _is_refusal(error: Exception) -> bool:
    """Return True for an error that another try does not mend: the call itself is not valid, here or for MLflow."""
    if isinstance(error, KeyError | TypeError | ValueError | AttributeError):
        return True
    status = getattr(error, "get_http_status_code", lambda: 500)()
    return status in (400, 409, 413)


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
