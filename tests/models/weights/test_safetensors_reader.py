"""safetensors files from anywhere: their header is checked before a tensor is made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from transfercli.errors import ArtefactError
from transfercli.models.weights.safetensors_reader import read_safetensors


def write(path: Path, header: Any, content: bytes = bytes(8)) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content)
    return path


def entry(start: int = 0, stop: int = 8, shape: Any = (2,), dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, stop]}


def test_the_tensors_of_the_library_are_read(tmp_path: Path) -> None:
    tensors = {"b": np.arange(6, dtype="float32").reshape(2, 3), "a": np.array(True)}
    safetensors.numpy.save_file(tensors, tmp_path / "w.safetensors", {"made": "here"})
    found = read_safetensors(tmp_path / "w.safetensors")
    assert found.keys() == tensors.keys()
    assert all(np.array_equal(found[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize(
    "header, message",
    [
        ({"a": entry(), "b": entry()}, "does not start at the end of the one before"),
        ({"a": entry(0, 4, (1,))}, "its tensors need 4 bytes, but it has 8"),
        ({"a": entry(shape=(3,))}, "offsets"),
        ({"a": entry(shape=(2, -1))}, "shape"),
        ({"a": entry(dtype="F8")}, "type"),
        ({"a": entry() | {"more": 1}}, "must have dtype, shape and data_offsets"),
        ({"a\n": entry()}, "is not a valid name of a tensor"),
        (b'{"a": 1, "a": 2}', "its header has a duplicate name"),
        (b"[]", "its header is not a JSON object"),
        ({"a": entry(), "__metadata__": {"a": 1}}, "its metadata are not texts by name"),
        ({"a": entry(), "__metadata__": [1]}, "its metadata are not texts by name"),
        ({"a": entry(0, 0, (0, 2**32, 2**32, 2**32))}, "not a whole safetensors file"),
        (b"[" * 100_000, "not a whole safetensors file"),
    ],
)
def test_a_header_that_does_not_fit_the_file_is_refused(tmp_path: Path, header: Any, message: str) -> None:
    with pytest.raises(ArtefactError, match=message):
        read_safetensors(write(tmp_path / "w.safetensors", header))


def test_a_header_longer_than_the_file_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes((2**40).to_bytes(8, "little") + b"{}")
    with pytest.raises(ArtefactError, match="its header claims"):
        read_safetensors(tmp_path / "w.safetensors")
