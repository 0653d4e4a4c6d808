"""Weights of a base: from a file, from ImageNet."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.numpy

from tests.models.weights.reading import read
from transfercli.errors import WeightsError


def write_keras(base, path: Path) -> None:
    base.save_weights(path) if path.name.endswith(".weights.h5") else base.save(path)


@pytest.mark.parametrize("name", ["w.weights.h5", "legacy_notop.h5", "w.safetensors"])
def test_every_kind_of_file_gives_the_tensors_back(name: str, base, tmp_path: Path) -> None:
    from transfercli.io.checksum import file_sha256
    from transfercli.models.weights.pretrained import base_tensors

    expected = base_tensors(base)
    path = tmp_path / name
    if name.endswith(".safetensors"):
        safetensors.numpy.save_file({k.removeprefix("base/"): v for k, v in expected.items()}, path)
    else:
        write_keras(base, path)
    found = read(path, base, file_sha256(path))
    assert found.keys() == expected.keys()
    assert all((found[key] == expected[key]).all() for key in expected)


def test_imagenet_without_a_network_names_the_file_to_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    from transfercli.models.weights import pretrained

    def fail(*_: object) -> None:
        raise Exception("URL fetch failure on https://example.org/a/vgg16_notop.h5: None -- no network")

    monkeypatch.setattr(pretrained, "build_base", fail)
    with pytest.raises(WeightsError, match=r"vgg16_notop\.h5") as caught:
        pretrained.imagenet_tensors("vgg16", (32, 32))
    assert "vgg16_notop.h5" in str(caught.value.hint)


def test_imagenet_for_a_base_without_published_weights_says_so() -> None:
    from transfercli.models.weights.pretrained import imagenet_tensors

    with pytest.raises(WeightsError, match="no ImageNet weights for small_cnn"):
        imagenet_tensors("small_cnn", (32, 32))
