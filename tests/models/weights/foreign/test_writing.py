"""Rules applied backwards: what is written has the names and shapes of the original library and is read again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.models.weights.foreign.made_weights import made_tensor
from transfercli.models.weights.foreign.layouts import Target
from transfercli.models.weights.foreign.mapping import map_tensors
from transfercli.models.weights.foreign.recognition import recognise
from transfercli.models.weights.foreign.rules import targets
from transfercli.models.weights.foreign.scheme import Scheme
from transfercli.models.weights.foreign.writing import INVERSES, with_torch_names, written_scheme

FIXTURES = Path(__file__).parent / "fixtures"
FAST = ("torchvision_resnet18", "torchvision_vgg11", "torchvision_densenet121")
SLOW = ("torchvision_resnet50", "torchvision_wide_resnet50_2", "torchvision_vgg16_bn", "timm_densenet161")
HEADS = ("fc.", "classifier.")


def weights_of(tensors: dict[str, np.ndarray], scheme: Scheme) -> dict[str, Target]:
    """Return the shapes of a base's weights; only convolutions have more than one dimension."""
    return {
        f"base/{target}": Target(tuple(np.transpose(value, (2, 3, 1, 0)).shape) if value.ndim == 4 else value.shape)
        for name, value in tensors.items()
        for _, target in targets(scheme.rules, name)
    }


@pytest.mark.parametrize("network", [*FAST, *(pytest.param(network, marks=pytest.mark.slow) for network in SLOW)])
def test_the_tensors_of_a_library_are_mapped_and_written_as_they_were(network: str) -> None:
    fixture = json.loads((FIXTURES / f"{network}.json").read_text())
    shapes = {name: tuple(shape) for name, shape in fixture["shapes"].items() if not name.startswith(HEADS)}
    original = {name: made_tensor(name, shape) for name, shape in shapes.items()}
    recognised = recognise(shapes)
    assert recognised is not None
    weights = weights_of(original, recognised.scheme)
    base = fixture["base"]
    mapped = map_tensors(original, recognised, base, weights)
    scheme = written_scheme(base, mapped.tensors)
    assert scheme is recognised.scheme
    written = with_torch_names(base, mapped.tensors, scheme)
    assert written.keys() == original.keys()
    for name, value in written.items():
        assert (value.dtype, value.shape) == (original[name].dtype, original[name].shape)
        if base.startswith("densenet") and name.endswith("running_var"):
            assert np.abs(value - original[name]).max() <= np.spacing(np.float32(2))
        else:
            assert np.array_equal(value, original[name]), name


@pytest.mark.parametrize("base", ["vit_small_patch16", "resnet50", "no_such_base"])
def test_networks_whose_tensors_are_fused_or_that_no_library_has_are_not_written(base: str) -> None:
    assert written_scheme(base, {"base/block1_query/kernel": np.zeros((2, 2), "float32")}) is None


def test_a_weight_that_is_read_otherwise_than_written_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = json.loads((FIXTURES / "torchvision_resnet18.json").read_text())["shapes"]
    original = {name: made_tensor(name, tuple(shape)) for name, shape in shapes.items()}
    recognised = recognise({name: value.shape for name, value in original.items()})
    assert recognised is not None
    weights = weights_of(original, recognised.scheme)
    tensors = map_tensors(original, recognised, "resnet18", weights).tensors
    monkeypatch.setitem(INVERSES, "convolution", lambda value: value.transpose(3, 2, 1, 0))
    with pytest.raises(ValueError, match="kernel is not read as it was written"):
        with_torch_names("resnet18", tensors, recognised.scheme)
