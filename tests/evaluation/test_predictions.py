from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from transfercli.errors import ArtefactError
from transfercli.evaluation.predictions import Predictions

HOSTILE = ('a,b"c', "=1+1", "line\nbreak", "", "p:x", "日本語")


def test_a_written_file_gives_the_same_float32_numbers_again(predictions: Predictions, tmp_path: Path) -> None:
    predictions.write_csv(tmp_path / "predictions.csv")
    again = Predictions.read_csv(tmp_path / "predictions.csv")
    assert again.paths == predictions.paths
    assert again.labels == predictions.labels
    np.testing.assert_array_equal(again.targets, predictions.targets)
    np.testing.assert_array_equal(again.probabilities, predictions.probabilities)


def test_tiny_and_whole_probabilities_survive(tmp_path: Path) -> None:
    tiny = np.float32(1.1754944e-38)
    values = np.array([[1, 0], [1 - 1e-7, 1e-7], [1, tiny], [np.float32(1) / 3, np.float32(2) / 3]], np.float32)
    Predictions(tuple("abcd"), ("x", "y"), np.zeros(4, int), values.astype(float)).write_csv(tmp_path / "p.csv")
    np.testing.assert_array_equal(Predictions.read_csv(tmp_path / "p.csv").probabilities, values.astype(float))


def test_the_columns_are_those_of_the_contract(predictions: Predictions, tmp_path: Path) -> None:
    predictions.write_csv(tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "label", "predicted", "probability", *(f"p:{name}" for name in predictions.labels)]
    assert rows[5]["probability"] == rows[5][f"p:{rows[5]['predicted']}"]
    assert float(rows[5]["probability"]) == pytest.approx(predictions.confidence[5], rel=1e-7)
    assert rows[5]["label"] == predictions.labels[predictions.targets[5]]


def test_names_that_break_careless_csv_stay_exact(tmp_path: Path) -> None:
    paths = tuple(f"{name}/1.png" for name in HOSTILE)
    probabilities = np.eye(len(HOSTILE))
    Predictions(paths, HOSTILE, np.arange(len(HOSTILE)), probabilities).write_csv(tmp_path / "p.csv")
    again = Predictions.read_csv(tmp_path / "p.csv")
    assert (again.paths, again.labels) == (paths, HOSTILE)


def test_a_file_name_that_is_not_utf8_survives(tmp_path: Path) -> None:
    path = os.fsdecode(b"caf\xe9.png")
    Predictions((path,), ("x", "y"), np.zeros(1, int), np.array([[0.5, 0.5]])).write_csv(tmp_path / "p.csv")
    assert Predictions.read_csv(tmp_path / "p.csv").paths == (path,)


def test_the_first_of_equal_probabilities_is_predicted() -> None:
    tied = Predictions(("a",), ("x", "y"), np.array([1]), np.array([[0.5, 0.5]]))
    assert tied.predicted.tolist() == [0]
    assert tied.confidence.tolist() == [0.5]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1])
def test_values_that_are_no_probabilities_are_refused_with_their_count(bad: float) -> None:
    values = np.array([[0.5, 0.5], [bad, 0.5], [0.5, bad]])
    with pytest.raises(ArtefactError, match="2 of 3 images"):
        Predictions(tuple("abc"), ("x", "y"), np.zeros(3, int), values)


@pytest.mark.parametrize(
    "paths, targets, shape",
    [("ab", [0], (2, 2)), ("ab", [0, 1], (2, 3)), ("a", [0, 1], (2, 2)), ("a", [2], (1, 2))],
)
def test_shapes_that_do_not_fit_are_refused(paths: str, targets: list[int], shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="targets"):
        Predictions(tuple(paths), ("x", "y"), np.array(targets), np.full(shape, 0.5))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "path,label\n",
        "path,label,predicted,probability,x\na,x,x,1,1\n",
        "path,label,predicted,probability,p:x,p:y\na,z,x,1,1,0\n",
        "path,label,predicted,probability,p:x,p:y\na,x,x,1,1\n",
        "path,label,predicted,probability,p:x,p:y\na,x,x,1,one,0\n",
        "path,label,predicted,probability,p:x,p:y\na,x,x,nan,nan,0\n",
        "path,label,predicted,probability,p:x,p:y\na\n",
    ],
)
def test_a_damaged_file_is_told_as_such(text: str, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(ArtefactError):
        Predictions.read_csv(tmp_path / "p.csv")


def test_a_missing_file_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"p\.csv cannot be read"):
        Predictions.read_csv(tmp_path / "p.csv")


def test_class_names_of_an_earlier_version_are_normalised_when_they_are_read(tmp_path: Path) -> None:
    probabilities = np.array([[0.75, 0.25], [0.5, 0.5]])
    Predictions(("1", "2"), ("the ", "cafe\u0301"), np.array([1, 0]), probabilities).write_csv(tmp_path / "p.csv")
    found = Predictions.read_csv(tmp_path / "p.csv")
    assert found.labels == ("the", "caf\u00e9")
    assert found.targets.tolist() == [1, 0]
