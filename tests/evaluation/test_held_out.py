"""The file of the answers that score a run."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from transfercli.errors import ArtefactError
from transfercli.evaluation.held_out import read_held_out, write_held_out

PATHS = ("cat/1.png", "dog/\udcff.png", "dog/ü.png")
TARGETS = np.array([0, 1, 1])
LOGITS = np.array([[1.0, -2.0], [0.5, 0.25], [-3.0, 4.0]], "float32")


def test_answers_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "held_out.safetensors"
    write_held_out(path, PATHS, TARGETS, LOGITS)
    answers = read_held_out(path)
    assert answers is not None
    assert answers.paths == PATHS
    np.testing.assert_array_equal(answers.targets, TARGETS)
    np.testing.assert_array_equal(answers.logits, LOGITS)


def test_a_run_of_an_earlier_version_has_no_answers(tmp_path: Path) -> None:
    assert read_held_out(tmp_path / "held_out.safetensors") is None


@pytest.mark.parametrize(
    "change",
    [
        {"logits": np.full((3, 2), np.nan, "float32")},
        {"logits": np.zeros((2, 2), "float32")},
        {"logits": np.zeros(3, "float32")},
        {"targets": np.array([0, 1, 2], "int32")},
        {"targets": np.array([0, 1, 1], "int64")},
        {"paths": np.frombuffer(b"a\0a\0b", np.uint8)},
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: dict[str, np.ndarray]) -> None:
    path = tmp_path / "held_out.safetensors"
    write_held_out(path, PATHS, TARGETS, LOGITS)
    path.write_bytes(safetensors.numpy.save(safetensors.numpy.load_file(path) | change))
    with pytest.raises(ArtefactError, match=r"held_out\.safetensors is damaged"):
        read_held_out(path)


def test_targets_of_several_labels_keep_what_is_unknown(tmp_path: Path) -> None:
    targets = np.array([[1, 0], [-1, 1], [0, 0]])
    write_held_out(tmp_path / "a.safetensors", PATHS, targets, LOGITS)
    answers = read_held_out(tmp_path / "a.safetensors")
    assert answers is not None
    np.testing.assert_array_equal(answers.targets, targets)
    for damaged in (targets * 2, targets[:, :1], np.ones((3, 3), int)):
        write_held_out(tmp_path / "b.safetensors", PATHS, damaged, LOGITS)
        with pytest.raises(ArtefactError, match=r"b\.safetensors is damaged"):
            read_held_out(tmp_path / "b.safetensors")
