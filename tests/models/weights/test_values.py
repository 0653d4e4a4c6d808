"""Weights are finite floating-point numbers, whatever a file holds."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import safetensors.numpy

from tests.models.weights.foreign_files import torch_tensors, write_torch_file
from tests.models.weights.reading import read
from transfercli.config.schema import FileWeights
from transfercli.errors import ArtefactError
from transfercli.models.weights.files import check_weight_file
from transfercli.models.weights.foreign.layouts import Target
from transfercli.models.weights.foreign.mapping import map_tensors
from transfercli.models.weights.foreign.recognition import Recognised
from transfercli.models.weights.foreign.rules import Rule
from transfercli.models.weights.foreign.scheme import Member, Scheme
from transfercli.models.weights.values import check_weights
from transfercli.reporting import Reporter

INFINITE = "NaN or infinite, in 1 tensor"
WHOLE = "integers or booleans, in 1 tensor"
VALUES = {
    "float64": (np.float64(1e300), INFINITE),
    "minus infinity": (np.float16(-np.inf), INFINITE),
    "NaN": (np.float32(np.nan), INFINITE),
    "int8": (np.int8(1), WHOLE),
    "uint8": (np.uint8(1), WHOLE),
    "int64": (np.int64(1), WHOLE),
    "bool": (np.bool_(True), WHOLE),
}


@pytest.mark.parametrize("value, message", VALUES.values(), ids=VALUES)
def test_a_file_of_pytorch_names_is_refused_before_keras_is_loaded(value, message: str, tmp_path: Path) -> None:
    tensors = torch_tensors()
    name = "layer1.0.bn1.running_var"
    path = write_torch_file(tmp_path / "w.safetensors", {**tensors, name: np.full(64, value)})
    with pytest.raises(ArtefactError, match=message) as caught:
        check_weight_file(FileWeights(path=str(path)), Reporter())
    assert name in caught.value.message
    assert caught.value.hint


def test_counters_and_unused_tensors_may_have_any_value(tmp_path: Path) -> None:
    more = {"extra.thing.weight": np.full(4, np.nan, "float32"), "codes.weight": np.ones(4, "int8")}
    tensors = torch_tensors()
    assert tensors["bn1.num_batches_tracked"].dtype == np.int64
    path = write_torch_file(tmp_path / "w.safetensors", {**tensors, **more})
    check_weight_file(FileWeights(path=str(path)), Reporter())


@pytest.mark.parametrize("name", ["w.safetensors", "w.weights.h5"])
def test_a_file_of_this_program_or_keras_is_refused(name: str, base, tmp_path: Path) -> None:
    from transfercli.models.weights.pretrained import base_tensors

    path = tmp_path / name
    tensors = base_tensors(base)
    kernel = next(key for key in tensors if key.endswith("/kernel"))
    for value, message in (VALUES["float64"], VALUES["int8"]):
        if name.endswith(".safetensors"):
            safetensors.numpy.save_file({**tensors, kernel: np.full(tensors[kernel].shape, value)}, path)
        else:
            base.save_weights(path)
            with h5py.File(path, "a") as file:
                stored = file["layers/conv2d/vars"]
                shape = stored["0"].shape
                del stored["0"]
                stored["0"] = np.full(shape, value)
        with pytest.raises(ArtefactError, match=message):
            read(path, base)


def test_negative_variances_are_refused_and_those_near_zero_are_not() -> None:
    check_weights({"base/bn/moving_variance": np.float32([0, -1e-8])}, "a file")
    with pytest.raises(ArtefactError, match=r"a file has variances below zero, in 1 tensor: 'bn1.running_var' \(-1\)"):
        check_weights(
            {"base/bn/moving_variance": np.float32([1, -1])}, "a file", {"base/bn/moving_variance": ["bn1.running_var"]}
        )


def test_a_product_that_overflows_is_refused() -> None:
    rules = (Rule("a", "same", "x/w"), Rule("b", "same", "x/w", "times"))
    scheme = Scheme("s", "names", "a", rules, {"b": Member("B", {})})
    tensors = {"a": np.full(3, 1e30, "float32"), "b": np.full(3, 1e30, "float32")}
    with pytest.raises(ArtefactError, match=f"{INFINITE}: 'a and b'"):
        map_tensors(tensors, Recognised(scheme, "", ("b",)), "b", {"base/x/w": Target((3,))})
