"""A sweep as a person starts it: real trainings on digits, in processes of their own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from transfercli.reporting import Reporter
from transfercli.workflows.sweep.plan import plan
from transfercli.workflows.sweep.result import SweepRequest

SPACE = """sweep:
  trials: 3
  space:
    training.optimizer.learning_rate: {log: [1e-3, 1e-2]}
    model.head.hidden: {choice: [[], [16]]}
"""


def transfercli(*words: object, folder: Path, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *python, "-m", "transfercli", *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path, digits_folder: Path) -> Path:
    config = f"""name: digits
data: {{train: {digits_folder}/digits-target/train, test: {digits_folder}/digits-target/test, image_size: 18}}
model: {{base: small_cnn, weights: none}}
transfer: {{strategy: scratch}}
training: {{epochs: 1}}
"""
    (tmp_path / "digits.yaml").write_text(config + SPACE)
    (tmp_path / "plain.yaml").write_text(config)
    return tmp_path


def test_a_sweep_trains_ordinary_runs_and_goes_on(folder: Path) -> None:
    done = transfercli("sweep", "digits.yaml", "--json", "--report", "page.html", folder=folder)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert next(iter(result)) == "format"
    assert result["counts"] == {"completed": 3}
    assert result["trials"][0]["values"]["training.optimizer.learning_rate"] == 1e-3
    assert result["winner"]["run"] in [trial["run"] for trial in result["trials"]]
    assert result["winner"]["test"]
    assert (folder / "page.html").stat().st_size > 10_000
    for number, trial in enumerate(result["trials"]):
        run = folder / trial["run"]
        record = json.loads((run / "run.json").read_text())
        assert record["status"] == "completed"
        assert record["sweep"] == {"id": result["sweep"], "trial": number}
        assert "sweep: null" in (run / "config.yaml").read_text()

    again = transfercli("sweep", "digits.yaml", "--json", folder=folder, python=("-X", "importtime"))
    assert again.returncode == 0, again.stderr[-2000:]
    imported = {line.rpartition("|")[2].strip() for line in again.stderr.splitlines() if line.startswith("import time")}
    assert not imported & {"keras", "tensorflow"}
    repeated = json.loads(again.stdout)
    assert repeated["trials"] == result["trials"]
    assert repeated["winner"] == result["winner"]

    table = transfercli("sweep", "digits.yaml", folder=folder)
    assert "learning_rate" in table.stdout
    assert result["winner"]["run"] in table.stdout
    assert "3 completed" in table.stdout


@pytest.mark.slow
@pytest.mark.parametrize("storage", [(), ("--storage", "sqlite:///trials.db")], ids=["journal", "sqlite"])
def test_two_commands_at_once_share_the_trials_of_one_sweep(storage: tuple[str, ...], folder: Path) -> None:
    space = "sweep={sampler: grid, pruner: none, space: {training.epochs: {choice: [1, 2, 3]},"
    space += " training.optimizer.learning_rate: {choice: [0.001, 0.01]}}}"
    words = ["sweep", "digits.yaml", "--set", space, "--json", *storage]
    command = [sys.executable, "-m", "transfercli", *words]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    begun = re.findall(r"trial (\d+) \(", "".join(stderr for _, stderr in outputs))
    assert sorted(begun) == [*"012345"], "each trial is trained by one process"

    finished = transfercli(*words, folder=folder)
    final = json.loads(finished.stdout)
    assert final["counts"] == {"completed": 6}
    assert len({str(trial["values"]) for trial in final["trials"]}) == 6
    for trial in final["trials"]:
        lines = (folder / trial["run"] / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == list(range(1, trial["values"]["training.epochs"] + 1))
    results = [json.loads(stdout) for stdout, _ in outputs]
    ended = [result for result in results if result["counts"] == final["counts"]]
    assert ended, "the last process to end has all trials"
    for result in ended:
        assert result["winner"] == final["winner"]
    for result in results:
        assert sum(result["counts"].values()) == 6
        assert result in ended or result["counts"]["running"] == 1
    assert final["winner"]["looks"] == 1


@pytest.mark.parametrize(
    "words, code, said",
    [
        (["plain.yaml"], 3, "plain.yaml: sweep: is missing"),
        (["digits.yaml", "--set", "sweep.space.training.epoch={choice: [1]}"], 3, "did you mean training.epochs?"),
        (["digits.yaml", "--storage", "mysql://ann:s3cret@localhost/trials"], 2, "not installed"),
        (["digits.yaml", "--run-id", "a" * 60], 2, "is too long for a sweep"),
    ],
)
def test_bad_input_is_one_message_and_writes_nothing(words: list[str], code: int, said: str, folder: Path) -> None:
    done = transfercli("sweep", *words, folder=folder)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "s3cret" not in done.stderr
    assert not (folder / "runs").exists()


def test_a_dry_run_says_what_the_sweep_costs(folder: Path) -> None:
    space = "sweep.space={training.epochs: {choice: [1, 2]}, model.head.hidden: {choice: [[], [8]]}}"
    request = SweepRequest(folder / "digits.yaml", folder / "runs", (space,))
    planned = plan(request, Reporter()).as_json()
    assert (planned["total"], planned["combinations"], planned["status"]) == (3, 4, "dry-run")
    assert [row["base"] for row in planned["bases"]] == ["small_cnn"]
    assert planned["seconds"] > 0
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    "options, live, shown",
    [
        ({}, "/data/my flowers.yaml", "…/my flowers.yaml"),
        ({"jobs": 2, "sweep_id": "a"}, "--run-id a --jobs 2", "--run-id a --jobs 2"),
        ({"overrides": ("sweep.trials=5",)}, "--set sweep.trials=5", "--set sweep.trials=5"),
        ({"storage": "sqlite:///t.db"}, "sqlite:///t.db", "sqlite:///t.db"),
        ({"storage": "sqlite:////home/ann/t.db"}, "sqlite:////home/ann/t.db", "sqlite:…/t.db"),
        ({"storage": "journal:/mnt/shared/t.log"}, "journal:/mnt/shared/t.log", "journal:…/t.log"),
        ({"storage": "postgresql://ann:pw@host/t?password=pw"}, "ann:…@host/t?password=…", "postgresql:…/t"),
    ],
)
def test_the_command_that_goes_on_names_no_absolute_path_and_no_host_in_files(
    options: dict[str, Any], live: str, shown: str
) -> None:
    request = SweepRequest(Path("/data/my flowers.yaml"), Path("runs"), **options)
    assert live in request.command()
    assert shown in request.command(shown=True)
    assert not [word for word in ("ann", "pw", "/home", "/mnt", "/data") if word in request.command(shown=True)]
    assert "pw" not in request.command()
