"""Tensors in files: the bytes that the safetensors library would write, and a hash of what was meant."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from transfercli.io.checksum import file_sha256
from transfercli.models.weights.safetensors_reader import read_safetensors
from transfercli.training.safetensors_writer import tensors_sha256, write_tensors


def test_the_bytes_are_those_of_the_library(tmp_path: Path) -> None:
    tensors = {
        "b/ünïcode": np.arange(6, dtype="float32").reshape(2, 3).T,
        "a": np.float32(3),
        "c/empty": np.zeros((0, 4), "float32"),
    }
    digest = write_tensors(tmp_path / "ours", tensors)
    ordered = {name: np.asarray(tensors[name], order="C") for name in sorted(tensors)}
    assert (tmp_path / "ours").read_bytes() == safetensors.numpy.save(ordered)
    assert digest == file_sha256(tmp_path / "ours") == tensors_sha256(tensors)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "uint32", "int64", "float16", "float64", "bfloat16"])
def test_every_type_comes_back_in_name_order(tmp_path: Path, dtype: str) -> None:
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    tensors = {"z": np.array([[0, 1], [1, 0]]).astype(kind), "a": np.ones(3, "float32")}
    write_tensors(tmp_path / "file", tensors)
    found = read_safetensors(tmp_path / "file")
    assert (tmp_path / "file").read_bytes().index(b'"a"') < (tmp_path / "file").read_bytes().index(b'"z"')
    for name, value in tensors.items():
        assert (found[name].dtype, found[name].tolist()) == (value.dtype, value.tolist())
