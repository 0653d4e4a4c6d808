"""A real MLflow server with a SQLite database, on this machine. `make test-mlflow`."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from transfercli.config.paths import ConfigPath
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.training.tracking.mlflow_store import MlflowRun, store_address

pytestmark = pytest.mark.mlflow

LINE = {"epoch": 1, "phase": 1, "loss": 0.5, "val_loss": 0.6, "val_recall": {"a": 1.0}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen([*command, *places], stdout=log, stderr=log, cwd=folder)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/health", running)
        yield address
    finally:
        running.terminate()
        running.wait(30)


def wait_for(address: str, running: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and running.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError("the MLflow server did not start")


@pytest.fixture(params=["server", "folder"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return (
        request.getfixturevalue("server")
        if request.param == "server"
        else store_address(ConfigPath("tracks", tmp_path))
    )


def test_a_run_that_was_stopped_goes_on_in_the_same_run_of_the_store(address: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    run = RunFolder(tmp_path / "flowers" / "one")
    run.path.mkdir(parents=True)
    run.config.write_text("name: flowers\n")
    config: dict[str, Any] = {"model": {"base": "vgg16"}, "many": {f"key{n}": n for n in range(250)}}
    for epoch, status in ((1, "KILLED"), (2, "FINISHED")):
        store = MlflowRun(address, run, Reporter())
        store.begin(config, {"workflow": "finetune"})
        store.epoch(LINE | {"epoch": epoch})
        store.end(status)
    client = MlflowClient(tracking_uri=address)
    (found,) = client.search_runs([client.get_experiment_by_name("flowers").experiment_id])
    assert found.info.status == "FINISHED"
    assert found.data.params["model.base"] == "vgg16"
    assert len(found.data.params) == 251
    assert [metric.step for metric in client.get_metric_history(found.info.run_id, "val_loss")] == [1, 2]
    assert [file.path for file in client.list_artifacts(found.info.run_id)] == ["config.yaml"]
    assert found.info.user_id == "unknown"  # and no other trace of this machine
    assert not {"mlflow.user", "mlflow.source.name"} & found.data.tags.keys()
