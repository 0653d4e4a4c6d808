"""A ResNet of keras.applications and one of PyTorch are not filled with the weights of the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from transfercli.errors import ConfigError
from transfercli.models.weights.resnet_versions import check_resnet_version

PYTORCH = {
    "base/conv1_conv/kernel",
    "base/conv1_bn/gamma",
    *(f"base/conv2_block1_{number}_conv/kernel" for number in range(4)),
    *(f"base/conv4_block{number}_3_conv/kernel" for number in range(1, 24)),
}
KERAS = PYTORCH | {name.replace("kernel", "bias") for name in PYTORCH if name.endswith("kernel")}
KERAS_H5 = {name.replace("kernel", "0").replace("bias", "1") for name in KERAS}
KERAS_V2 = PYTORCH | {"base/conv1_conv/bias", "base/conv2_block1_preact_bn/gamma"}


@pytest.mark.parametrize(
    "names, base, version, other",
    [
        (KERAS, "resnet101_torch", r"keras\.applications, version 1", "resnet101"),
        (KERAS_H5, "resnet50_torch", r"keras\.applications, version 1", "resnet101"),
        (KERAS_V2, "wide_resnet50", r"keras\.applications, version 2", "resnet101v2"),
        (PYTORCH, "resnet101", r"PyTorch, version 1\.5", "resnet101_torch"),
        (PYTORCH, "resnet50v2", r"PyTorch, version 1\.5", "resnet101_torch"),
    ],
)
def test_weights_of_the_other_library_are_refused(names: set[str], base: str, version: str, other: str) -> None:
    with pytest.raises(ConfigError, match=rf"model\.base: {base}, but the weights are .* {version}:") as caught:
        check_resnet_version(names, base)
    assert caught.value.hint == f"use base {other}"


@pytest.mark.parametrize(
    "names, base",
    [
        (KERAS, "resnet101"),
        (KERAS_V2, "resnet101v2"),
        (PYTORCH, "resnet101_torch"),
        (PYTORCH, "vgg16"),
        (set(), "resnet50"),
    ],
)
def test_weights_of_the_same_library_are_not(names: set[str], base: str) -> None:
    check_resnet_version(names, base)


@pytest.mark.slow
def test_a_file_of_either_library_is_refused_by_a_base_of_the_other(tmp_path: Path) -> None:
    import safetensors.numpy

    from tests.models.weights.reading import read
    from transfercli.models.classifier import build_base
    from transfercli.models.weights.pretrained import base_tensors

    for own, other in [("resnet50", "resnet50_torch"), ("resnet50_torch", "resnet50")]:
        path = tmp_path / f"{own}.safetensors"
        base = build_base(own, (32, 32), 3)
        safetensors.numpy.save_file(base_tensors(base), path)
        read(path, base, name=own)
        with pytest.raises(ConfigError, match=f"model.base: {other}"):
            read(path, build_base(other, (32, 32), 3), name=other)
        base.save_weights(tmp_path / f"{own}.weights.h5")
        with pytest.raises(ConfigError, match=f"model.base: {other}"):
            read(tmp_path / f"{own}.weights.h5", build_base(other, (32, 32), 3), name=other)
