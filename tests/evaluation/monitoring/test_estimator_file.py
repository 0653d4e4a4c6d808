"""The file of an estimator."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.numpy

from tests.evaluation.monitoring.digit_answers import RECENT, answers, estimator, pixels
from transfercli.errors import ArtefactError
from transfercli.evaluation.monitoring.estimator_file import EstimatorFile


def test_an_estimator_that_is_read_expects_the_same(tmp_path: Path) -> None:
    file = EstimatorFile(tmp_path / "monitoring.safetensors", "key")
    assert file.read() is None
    file.write(estimator())
    first = file.path.read_bytes()
    file.write(estimator())
    assert file.path.read_bytes() == first
    stored, recent = file.read(), answers(pixels()[RECENT[:100]])
    assert stored is not None
    assert stored.expect(recent).values == estimator().expect(recent).values


def test_a_file_of_another_model_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "monitoring.safetensors"
    EstimatorFile(path, "key").write(estimator())
    assert EstimatorFile(path, "other").read() is None


@pytest.mark.parametrize("name", ["signals", "truth", "features", "facts"])
def test_a_damaged_file_is_an_error_with_its_remedy(tmp_path: Path, name: str) -> None:
    file = EstimatorFile(tmp_path / "monitoring.safetensors", "key")
    file.write(estimator())
    tensors = safetensors.numpy.load_file(file.path)
    tensors[name] = tensors[name][:-3]
    safetensors.numpy.save_file(tensors, file.path)
    with pytest.raises(ArtefactError, match="damaged") as error:
        file.read()
    assert "remove the file" in str(error.value.hint)
