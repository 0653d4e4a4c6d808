"""What an MLflow store is told, by a client that only notes it; the real one is met by `make test-mlflow`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.listener import Listener
from transfercli.config.paths import ConfigPath
from transfercli.errors import UsageError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.training.tracking import mlflow_store
from transfercli.training.tracking.mlflow_store import MlflowRun, check_installed, flat, store_address


class Client:
    """Notes calls; `failing` names those that raise."""

    def __init__(self, tracking_uri: str) -> None:
        self.address, self.calls, self.failing, self.runs = tracking_uri, [], set(), []
        self.error: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **named: Any) -> Any:
            if name in self.failing:
                raise self.error or OSError(f"{name} is not answered\nand more")
            self.calls.append((name, args, named))
            if name == "create_run":
                return SimpleNamespace(info=SimpleNamespace(run_id="made"))
            return {"get_experiment_by_name": None, "create_experiment": "7", "search_runs": self.runs}.get(name)

        return call

    def told(self, name: str) -> list[tuple[Any, Any]]:
        return [(args, named) for called, args, named in self.calls if called == name]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    found = Client("")

    def made(tracking_uri: str) -> Client:
        found.address = tracking_uri
        return found

    entities = SimpleNamespace(
        Param=lambda key, value: (key, value),
        RunTag=lambda key, value: (key, value),
        Metric=lambda *given: (given[0], given[1], given[3]),
    )
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(MlflowClient=made))
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", SimpleNamespace(MlflowException=OSError))
    for name in (*mlflow_store.LIMITS, *mlflow_store.QUIET):
        monkeypatch.delenv(name, raising=False)
    return found


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "flowers" / "one")
    folder.path.mkdir(parents=True)
    return folder


def test_where_mlflow_is_missing_the_line_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_store, "find_spec", lambda _: None)
    with pytest.raises(UsageError) as caught:
        check_installed()
    assert caught.value.hint == "install it: pip install 'transfercli[mlflow]'"


@pytest.mark.parametrize(
    "text, address",
    [
        ("http://localhost:5000", "http://localhost:5000"),
        ("sqlite:///tracks.db", "sqlite:///{}/tracks.db"),
        ("sqlite:////var/tracks.db", "sqlite:////var/tracks.db"),
        ("tracks", "sqlite:///{}/tracks/mlflow.db"),
        ("/var/tracks", "sqlite:////var/tracks/mlflow.db"),
    ],
)
def test_relative_places_start_from_the_folder_of_the_config(text: str, address: str, tmp_path: Path) -> None:
    assert store_address(ConfigPath(text, tmp_path)) == address.format(tmp_path.resolve())


def test_a_training_becomes_a_run_of_its_experiment(client: Client, run: RunFolder) -> None:
    store = MlflowRun("sqlite:////var/tracks/mlflow.db", run, Reporter())
    store.begin({"model": {"base": "vgg16"}, "seed": 0, "tracking": {"mlflow": "x"}}, {"workflow": "finetune"})
    store.epoch({"epoch": 3, "loss": 0.5, "phase": 1, "val_recall": {"a": 1.0}})
    run.config.write_text("name: flowers\n")
    store.end("FINISHED")
    ((_, made),) = client.told("create_experiment")
    assert made == {"artifact_location": "/var/tracks/mlartifacts"}
    ((args, named),) = client.told("create_run")
    assert args == ("7",)
    assert named["run_name"] == "one"
    assert named["tags"]["transfercli.run"] == "flowers/one"
    batches = [named for _, named in client.told("log_batch")]
    assert batches[0] == {"params": [("model.base", "vgg16"), ("seed", "0")]}
    assert batches[1] == {"tags": [("workflow", "finetune")]}
    assert batches[2] == {"metrics": [("loss", 0.5, 3), ("phase", 1.0, 3)]}
    assert [args[1:] for args, _ in client.told("log_artifact")] == [(str(run.config), None)]
    assert client.told("set_terminated") == [(("made",), {"status": "FINISHED"})]


def test_a_run_that_goes_on_is_found_again(client: Client, run: RunFolder) -> None:
    client.runs = [SimpleNamespace(info=SimpleNamespace(run_id="before"))]
    MlflowRun("http://x", run, Reporter()).end("KILLED")
    assert client.told("create_run") == []
    ((args, _),) = client.told("search_runs")
    assert args[1] == "tags.`transfercli.run` = 'flowers/one'"
    assert client.told("set_terminated") == [(("before",), {"status": "KILLED"})]


@pytest.mark.parametrize("failing", ["get_experiment_by_name", "log_batch"])
def test_a_store_that_is_down_is_warned_of_once_and_gets_everything_later(
    client: Client, run: RunFolder, failing: str
) -> None:
    listener = Listener()
    store = MlflowRun("http://x", run, listener)
    client.failing = {failing}
    run.config.write_text("name: flowers\n")
    store.begin({"seed": 0}, {"workflow": "finetune"})
    for epoch in (1, 2):
        store.epoch({"epoch": epoch, "loss": 0.5})
    store.end("FINISHED")
    (warning,) = listener.warnings
    assert warning.startswith(f"tracking.mlflow: the store cannot be used: {failing} is not answered; ")
    assert client.told("set_terminated") == client.told("log_artifact") == []
    client.failing, client.calls = set(), []
    MlflowRun("http://x", run, listener).metrics({"test_accuracy": 0.5}, 2)
    batches = [named for _, named in client.told("log_batch")]
    assert batches == [
        {"params": [("seed", "0")]},
        {"tags": [("workflow", "finetune")]},
        {"metrics": [("loss", 0.5, 1)]},
        {"metrics": [("loss", 0.5, 2)]},
        {"metrics": [("test_accuracy", 0.5, 2)]},
    ]
    assert client.told("set_terminated") == [(("made",), {"status": "FINISHED"})]
    assert len(client.told("log_artifact")) == 1
    assert len(listener.warnings) == 1
    assert not run.pending_calls.exists()


def test_the_end_of_a_training_sends_what_a_store_missed_meanwhile(client: Client, run: RunFolder) -> None:
    store = MlflowRun("http://x", run, Reporter())
    client.failing = {"log_batch"}
    store.epoch({"epoch": 1, "loss": 0.5})
    client.failing = set()
    store.epoch({"epoch": 2, "loss": 0.4})
    assert client.told("log_batch") == []  # a training does not wait for a store at every epoch
    store.end("FINISHED")
    assert [named["metrics"][0][2] for _, named in client.told("log_batch")] == [1, 2]
    assert not run.pending_calls.exists()


def test_a_call_that_the_store_refuses_is_dropped_and_blocks_no_other(client: Client, run: RunFolder) -> None:
    class RefusedError(Exception):
        def get_http_status_code(self) -> int:
            return 400

    listener = Listener()
    client.failing, client.error = {"log_batch"}, RefusedError("a param has another value")
    store = MlflowRun("http://x", run, listener)
    store.begin({"seed": 0}, {})
    store.end("FINISHED")
    assert listener.warnings == ["tracking.mlflow: the store refuses begin: a param has another value"]
    assert client.told("set_terminated") == [(("made",), {"status": "FINISHED"})]
    assert not run.pending_calls.exists()


def test_a_damaged_queue_ends_nothing(client: Client, run: RunFolder) -> None:
    calls = (
        b'{"call": "metrics", "val',
        b"[]",
        b"\xff",
        b'{"call": "other"}',
        b"{}",
        b'{"call": "metrics", "step": 1}',
    )
    run.pending_calls.write_bytes(b"\n".join(calls))
    MlflowRun("http://x", run, Reporter()).end("FINISHED")
    assert not run.pending_calls.exists()
    assert client.told("set_terminated") == [(("made",), {"status": "FINISHED"})]


def test_a_queue_from_a_stranger_names_no_file_outside_of_the_run(client: Client, run: RunFolder) -> None:
    (run.path.parent / "secret").write_text("s")
    names = ["../secret", str(run.path.parent / "secret"), "a/../../secret"]
    run.pending_calls.write_text(json.dumps({"call": "files", "names": names, "folder": None}))
    MlflowRun("http://x", run, Reporter()).end("FINISHED")
    assert client.told("log_artifact") == []


def test_values_that_are_not_defined_are_left_out(client: Client, run: RunFolder) -> None:
    MlflowRun("http://x", run, Reporter()).metrics({"test_accuracy": 0.5, "test_roc_auc": None}, 4)
    assert client.told("log_batch")[-1][1] == {"metrics": [("test_accuracy", 0.5, 4)]}


def test_keys_become_names_that_mlflow_takes() -> None:
    config = {"evaluation": {"gates": {"recall[a b]": 0.9}}, "empty": {}, "none": None, "list": [1, "x"]}
    assert dict(flat(config)) == {
        "evaluation.gates.recall_a b_": "0.9", "empty": "{}", "none": "null", "list": "[1, 'x']"
    }  # fmt: skip
