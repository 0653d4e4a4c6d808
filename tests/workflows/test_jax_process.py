"""Commands on JAX, in a process in which Keras runs on it, beside the same commands on TensorFlow in this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.backends import tensorflow_only
from tests.workflows.conftest import World
from transfercli.evaluation.predictions import Predictions
from transfercli.reporting import Reporter
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run

pytestmark = tensorflow_only("it compares a process on JAX with this one")

# Calls the program once for each list of arguments, and prints the exit status and the output of each.
CALLS = """
import contextlib, importlib.machinery, io, json, sys
from transfercli.cli.app import main

class WithoutTensorFlow:
    def find_spec(name, path=None, target=None):
        return None if name == "tensorflow" else importlib.machinery.PathFinder.find_spec(name, path, target)

results = []
for words in json.loads(sys.argv[1]):
    if words[0] == "HIDE":
        results.append("tensorflow" in sys.modules)
        sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = WithoutTensorFlow
        continue
    sys.argv, out, status = ["transfercli", *words], io.StringIO(), 0
    with contextlib.redirect_stdout(out):
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
    results.append([status, out.getvalue()])
print(json.dumps(results))
"""


def on_jax(folder: Path, *calls: list[str]) -> list[Any]:
    """Return [exit status, stdout] of each call of the program.

    The call `HIDE` works from there on as if TensorFlow were not installed, and returns True if it was imported before.
    """
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", CALLS, json.dumps(calls)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


@pytest.fixture(scope="module")
def used(source: Any, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The answers of a process on JAX about two trainings of its own, and about a run that TensorFlow trained."""
    before, trained = source
    world = World(tmp_path_factory.mktemp("jax"), before.samples)
    weights = {"model": {"weights": {"path": str(Path(trained["run"], "checkpoints/best/model.safetensors"))}}}
    transfer = {"strategy": "partial", "unfreeze": "conv3"}
    config = world.config("jax", "digits-target", training={"epochs": 1}, transfer=transfer, **weights)
    tune = ["finetune", str(config), "--runs", str(world.runs), "--json"]
    own, foreign = world.runs / "jax" / "first", Path(trained["run"])
    formats = ("keras", "saved_model", "litert", "openvino")
    answers = on_jax(
        world.folder,
        [*tune, "--run-id", "first"],
        [*tune, "--run-id", "second"],
        ["evaluate", str(own), "--json"],
        ["evaluate", str(foreign), "--json"],
        ["export", str(own), "--format", "onnx", "--json"],
        ["HIDE"],
        *(["export", str(own), "--format", name, "--json"] for name in formats),
    )
    first, second, evaluated, foreign_evaluated, onnx, imported, *exported = answers
    return SimpleNamespace(
        trained=(first, second),
        imported=imported,
        runs={own: evaluated, foreign: foreign_evaluated},
        own=own,
        exported={"onnx": onnx, **dict(zip(formats, exported, strict=True))},
        answers={run: Predictions.read_csv(run / "evaluation" / "test" / "predictions.csv") for run in (own, foreign)},
    )


def test_a_training_on_jax_imports_no_tensorflow_and_ends_with_the_same_bits(used: Any) -> None:
    assert [status for status, _ in used.trained] == [0, 0]
    assert used.imported is False
    kept = [used.own.with_name(name) / "checkpoints" / "best" / "model.safetensors" for name in ("first", "second")]
    assert kept[0].read_bytes() == kept[1].read_bytes()
    facts = json.loads((used.own / "run.json").read_text())
    assert (facts["backend"], facts["device"]) == ("jax", "cpu")


def test_each_backend_evaluates_the_runs_of_the_other_to_the_same_numbers(used: Any) -> None:
    for run, (status, text) in used.runs.items():
        assert status == 0
        here = evaluate_run(EvaluateRequest(str(run), run.parent), Reporter()).as_json()
        there = json.loads(text)
        assert there["confusion_matrix"] == here["confusion_matrix"]
        assert there["metrics"] == pytest.approx(here["metrics"], abs=1e-5)
        answers = Predictions.read_csv(run / "evaluation" / "test" / "predictions.csv")
        assert answers.paths == used.answers[run].paths
        # Rounding in float32: TensorFlow with and without oneDNN differs by as much.
        np.testing.assert_allclose(used.answers[run].probabilities, answers.probabilities, atol=1e-4)


def test_without_tensorflow_only_its_formats_are_refused_with_those_that_need_none(used: Any) -> None:
    assert [name for name, (status, _) in used.exported.items() if status == 0] == ["onnx", "keras"]
    for name in ("saved_model", "litert", "openvino"):
        status, text = used.exported[name]
        error = json.loads(text)["error"]
        assert (status, error["kind"]) == (2, "usage")
        assert error["message"] == f"--format {name} needs tensorflow, which is not installed"
        assert "pip install tensorflow" in error["hint"]
        assert "keras, safetensors, onnx" in error["hint"]
