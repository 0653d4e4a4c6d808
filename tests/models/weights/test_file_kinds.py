"""Files that are not weights: named for what they are, with the way out, before anything is read."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from tests.models.weights.foreign_files import torch_tensors, write_torch_file
from transfercli.config.schema import FileWeights
from transfercli.errors import ArtefactError, ConfigError
from transfercli.models.weights.files import check_weight_file, read_weight_file
from transfercli.reporting import Reporter

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 46807446\n"
INDEX = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}


@pytest.mark.parametrize("length", [0x0480, 0x4B50])
def test_a_header_whose_length_looks_like_another_format_is_read(length: int, tmp_path: Path) -> None:
    values = np.arange(4, dtype="float32")
    entry = {"base/a/kernel": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}
    header = json.dumps(entry).encode().ljust(length)
    path = tmp_path / "w.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + header + values.tobytes())
    _, tensors = read_weight_file(FileWeights(path=str(path)), Reporter())
    np.testing.assert_array_equal(tensors["base/a/kernel"], values)


def _torch_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")


def _text(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text)


def refusal(path: Path, **keys: str) -> ArtefactError:
    with pytest.raises(ArtefactError) as caught:
        check_weight_file(FileWeights(path=str(path), **keys), Reporter())
    assert caught.value.message.startswith("model.weights.path: ")
    return caught.value


@pytest.mark.parametrize(
    "name, write, words, mend",
    [
        ("m.safetensors", _text(POINTER), "is a Git LFS pointer of 133 bytes", "git lfs pull"),
        ("m.bin", _text(POINTER), "stands for a file of 46.8 MB with the sha256 'aaaa", "git lfs pull"),
        ("m.pth", _torch_archive, "is a PyTorch file, which is a pickle", "torch.load('m.pth'"),
        ("m.safetensors", _torch_archive, "is a PyTorch file, which is a pickle", "safetensors.torch.save_file"),
        ("m.pt", lambda path: path.write_bytes(b"\x80\x02\x8a\nl\xfc."), "is a pickle", "weights_only=True"),
        ("m.safetensors.index.json", _text(json.dumps(INDEX)), "a checkpoint in 2 files", "glob('m-*-of-*"),
        ("m.safetensors.index.json", _text("{"), "is a JSON file", "name the .safetensors file"),
        ("config.json", _text("{}"), "is a JSON file", "name the .safetensors file"),
        ("m.safetensors", _text("<!DOCTYPE html>\n<html>"), "is a web page", "log in"),
        ("m.safetensors", _text(""), "is empty", "fetch or write the file again"),
    ],
)
def test_a_file_is_named_for_what_it_is(
    name: str, write: Callable[[Path], object], words: str, mend: str, tmp_path: Path
) -> None:
    write(tmp_path / name)
    error = refusal(tmp_path / name)
    assert words in error.message
    assert mend in str(error.hint)


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    return torch_tensors(classes=10)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, "float16"])
def test_half_precision_is_read_as_float32(dtype: object, tensors: dict[str, np.ndarray], tmp_path: Path) -> None:
    half = {name: value.astype(dtype) if value.dtype == "float32" else value for name, value in tensors.items()}
    file = write_torch_file(tmp_path / "half.safetensors", half)
    check_weight_file(FileWeights(path=str(file)), Reporter(), "resnet18")
    _, read = read_weight_file(FileWeights(path=str(file)), Reporter())
    assert read["conv1.weight"].dtype == "float32"
    np.testing.assert_array_equal(read["conv1.weight"], half["conv1.weight"].astype("float32"))


def test_bfloat16_is_read_by_a_process_without_keras(tensors: dict[str, np.ndarray], tmp_path: Path) -> None:
    half = {name: value.astype(ml_dtypes.bfloat16) for name, value in tensors.items() if value.dtype == "float32"}
    file = write_torch_file(tmp_path / "half.safetensors", half)
    script = (
        "import sys; from transfercli.models.weights.files import *\n"
        "source = FileWeights(path=sys.argv[1]); check_weight_file(source, Reporter(), 'resnet18')\n"
        "tensors = read_weight_file(source, Reporter())[1].values()\n"
        "print({str(value.dtype) for value in tensors}, 'keras' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", script, file], capture_output=True, text=True, check=False)
    assert ended.stdout == "{'float32'} False\n", ended.stderr


def test_weights_that_are_not_finite_are_counted_by_tensor(tensors: dict[str, np.ndarray], tmp_path: Path) -> None:
    kernel, bias = tensors["conv1.weight"].copy(), tensors["bn1.bias"].copy()
    kernel[0, 0, 0, :2], bias[3] = np.nan, np.inf
    file = write_torch_file(tmp_path / "nan.safetensors", {**tensors, "conv1.weight": kernel, "bn1.bias": bias})
    error = refusal(file)
    assert "NaN or infinite, in 2 tensors: 'bn1.bias' (1 of 64), 'conv1.weight' (2 of 9408)" in error.message
    with pytest.raises(ArtefactError, match="NaN or infinite"):
        read_weight_file(FileWeights(path=str(file)), Reporter())


def test_a_tensor_that_no_base_uses_may_be_infinite(tensors: dict[str, np.ndarray], tmp_path: Path) -> None:
    mask = np.full((2, 2), -np.inf, "float32")
    file = write_torch_file(tmp_path / "mask.safetensors", {**tensors, "attention.mask": mask})
    check_weight_file(FileWeights(path=str(file)), Reporter(), "resnet18")


def test_a_head_beside_the_network_is_checked_for_numbers_too(tmp_path: Path) -> None:
    tensors = torch_tensors("transformers_resnet18")
    tensors["classifier.1.bias"] = np.full_like(tensors["classifier.1.bias"], np.nan)
    assert "'classifier.1.bias'" in refusal(write_torch_file(tmp_path / "head.safetensors", tensors)).message


def test_names_of_this_program_are_checked_for_numbers_too(tmp_path: Path) -> None:
    bad = safetensors.numpy.save({"base/conv/kernel": np.array([1.0, np.nan], "float32")})
    (tmp_path / "own.safetensors").write_bytes(bad)
    assert "'base/conv/kernel' (1 of 2)" in refusal(tmp_path / "own.safetensors").message


def test_half_a_file_is_damaged(tensors: dict[str, np.ndarray], tmp_path: Path) -> None:
    file = write_torch_file(tmp_path / "whole.safetensors", tensors)
    file.write_bytes(file.read_bytes()[:1_000_000])
    with pytest.raises(ArtefactError, match=r"is not a whole safetensors file: its tensors need \d+ bytes"):
        check_weight_file(FileWeights(path=str(file)), Reporter())


def test_the_format_of_the_config_must_be_that_of_the_names(
    tensors: dict[str, np.ndarray], base: object, tmp_path: Path
) -> None:
    file = write_torch_file(tmp_path / "m.safetensors", tensors)
    for form in ("auto", "pytorch"):
        check_weight_file(FileWeights(path=str(file), format=form), Reporter(), "resnet18")
    with pytest.raises(ConfigError, match=r"format: keras, but m\.safetensors has names of PyTorch"):
        check_weight_file(FileWeights(path=str(file), format="keras"), Reporter())
    own = write_torch_file(tmp_path / "own.safetensors", {"base/conv/kernel": np.ones(2, "float32")})
    for form in ("auto", "keras"):
        check_weight_file(FileWeights(path=str(own), format=form), Reporter())
    assert "names of tensors that are not known: 'base/conv/kernel'" in refusal(own, format="pytorch").message
    base.save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(ConfigError, match="format: pytorch, but"):
        check_weight_file(FileWeights(path=str(tmp_path / "w.weights.h5"), format="pytorch"), Reporter())


def test_unknown_names_of_pytorch_are_shown_by_pattern_with_the_known_ones(tmp_path: Path) -> None:
    names = [f"trunk.{number}.{part}" for number in range(20) for part in ("weight", "bias")]
    file = write_torch_file(tmp_path / "m.safetensors", {name: np.ones(2, "float32") for name in names})
    error = refusal(file)
    assert "not known: 'trunk.N.bias', 'trunk.N.weight'" in error.message
    assert "PyTorch names of a ResNet" in str(error.hint)


def test_two_copies_of_a_network_are_named_by_their_prefixes(tensors: dict[str, np.ndarray], tmp_path: Path) -> None:
    twice = {**tensors, **{f"module.{name}": value for name, value in tensors.items()}}
    file = write_torch_file(tmp_path / "twice.safetensors", twice)
    with pytest.raises(ArtefactError, match=r"2 copies of a network: names that start with no prefix and 'module\.'"):
        check_weight_file(FileWeights(path=str(file)), Reporter())


def test_another_base_is_an_error_of_the_config_before_keras_is_needed(tmp_path: Path) -> None:
    file = write_torch_file(tmp_path / "r50.safetensors", torch_tensors("torchvision_resnet50"))
    with pytest.raises(ConfigError) as caught:
        check_weight_file(FileWeights(path=str(file)), Reporter(), "resnet50")
    assert caught.value.message == (
        "model.base: resnet50, but these are PyTorch names of a ResNet-50 v1.5: use base resnet50_torch"
    )
