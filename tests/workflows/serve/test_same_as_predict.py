"""Answers of `serve`, in every protocol, beside those of `predict` on the same files."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.workflows.conftest import World
from tests.workflows.serve.real_server import ask_open_inference, ask_plainly, ask_tensorflow_serving, serve
from transfercli.reporting import Reporter
from transfercli.workflows.predict.predict import PredictRequest, predict_images

pytestmark = pytest.mark.slow
SAME = pytest.approx
TOLERANCE = 1e-6
UNKNOWN = 1e-4  # relative, of the out-of-distribution score: a sum of logits, which depends on the size of the batch


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> tuple[World, Path]:
    """A run that gives an image a number: the digit that it shows."""
    world = World(tmp_path_factory.mktemp("numbers"), digits_folder)
    files = sorted((digits_folder / "digits-source" / "train").rglob("*.png"))[::3]
    table = world.folder / "numbers.csv"
    with table.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["path", "amount"])
        rows.writerows([file, file.parent.name] for file in files)
    data = {"train": str(table), "columns": {"label": "amount"}}
    config = world.config("numbers", "digits-source", task="regression", data=data)
    return world, Path(world.train("pretrain", config)["run"])


@pytest.fixture(scope="module")
def runs(source: Any, scenes: Any, numbers: Any) -> dict[str, tuple[Path, list[Path]]]:
    """Return name -> run and images of it: one label, several labels, numbers."""
    world, result = source
    digits = sorted((world.samples / "digits-source" / "test").rglob("*.png"))[::7]
    pictures = sorted((scenes[0].folder / "scenes").rglob("*.png"))[:20]
    return {
        "digits": (Path(result["run"]), digits),
        "scenes": (scenes[1], pictures),
        "numbers": (numbers[1], digits),
    }


@pytest.fixture(scope="module")
def client(runs: dict[str, tuple[Path, list[Path]]]) -> Any:
    """Yield a client of a server of all runs."""
    targets = [f"{name}={run}" for name, (run, _) in runs.items()]
    with serve(*targets) as (server, _), httpx.Client(base_url=server.address, timeout=60) as opened:
        yield opened


def predicted(run: Path, files: list[Path], **options: Any) -> list[dict[str, Any]]:
    request = PredictRequest(str(run), run.parent.parent, tuple(map(str, files)), **options)
    return [one.as_json() for one in predict_images(request, Reporter()).answers]


def without_path(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in one.items() if key not in ("path", "format")} for one in answers]


def assert_same(found: Any, wanted: Any, key: str = "") -> None:
    """Compare JSON; numbers may differ by `TOLERANCE`."""
    if isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for key in wanted:
            assert_same(found[key], wanted[key], key)
    elif isinstance(wanted, list):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_same(one, other)
    elif isinstance(wanted, float):
        assert found == SAME(wanted, abs=TOLERANCE, rel=UNKNOWN if key == "unknown" else 0)
    else:
        assert found == wanted


@pytest.mark.parametrize("name", ["digits", "scenes", "numbers"])
def test_plain_answers_are_those_of_predict(client, runs, name):
    run, files = runs[name]
    wanted = without_path(predicted(run, files, top=3, abstain=name != "numbers"))
    assert_same(without_path(ask_plainly(client, name, files, top=3)), wanted)
    wanted = without_path(predicted(run, files, top=5))
    assert_same(without_path(ask_plainly(client, name, files, abstain="false")), wanted)


@pytest.mark.parametrize("name", ["digits", "scenes"])
def test_probabilities_of_other_protocols_are_those_of_predict(client, runs, name):
    run, files = runs[name]
    labels = client.get(f"/predict/{name}").json()["labels"]
    answers = predicted(run, files, top=len(labels), abstain=True)
    wanted = np.array([[dict(one["top"])[label] for label in labels] for one in answers])
    rows = ask_tensorflow_serving(client, name, files)
    assert [row["probabilities"] for row in rows] == SAME(wanted, abs=TOLERANCE)
    tensors = ask_open_inference(client, name, files)
    assert np.reshape(tensors["probabilities"], wanted.shape) == SAME(wanted, abs=TOLERANCE)
    for column in ("label", "probability", "abstained"):
        assert_same([row[column] for row in rows], [one[column] for one in answers])
    assert_same(tensors["label"], [one["label"] or "" for one in answers])
    assert_same(tensors["abstained"], [one["abstained"] for one in answers])
    if name == "scenes":
        answered = [[label in dict(one["labels"]) for label in labels] for one in answers]
        assert [row["answered"] for row in rows] == answered
        assert np.reshape(tensors["answered"], wanted.shape).tolist() == answered


def test_numbers_of_other_protocols_are_those_of_predict(client, runs):
    run, files = runs["numbers"]
    wanted = [one["value"] for one in predicted(run, files)]
    assert np.ravel(ask_tensorflow_serving(client, "numbers", files)) == SAME(wanted, abs=TOLERANCE)
    assert ask_open_inference(client, "numbers", files)["value"] == SAME(wanted, abs=TOLERANCE)


def test_pixels_are_answered_as_the_file_that_they_are_of(client, runs):
    _, files = runs["digits"]
    pixels = [np.asarray(Image.open(file).convert("RGB")).tolist() for file in files]
    answer = client.post("/v1/models/digits:predict", json={"instances": pixels}).json()["predictions"]
    wanted = ask_tensorflow_serving(client, "digits", files)
    assert_same(answer, wanted)
