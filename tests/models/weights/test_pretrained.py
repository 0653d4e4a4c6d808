"""Weights of a base: from a file, from ImageNet."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.numpy

from tests.models.weights.reading import read
from transfercli.errors import WeightsError
from transfercli.reporting import Reporter


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
        pretrained.imagenet_tensors("vgg16", (32, 32), Reporter())
    assert "vgg16_notop.h5" in str(caught.value.hint)


def test_imagenet_for_a_base_without_published_weights_says_so() -> None:
    from transfercli.models.weights.pretrained import imagenet_tensors

    with pytest.raises(WeightsError, match="no ImageNet weights for small_cnn"):
        imagenet_tensors("small_cnn", (32, 32), Reporter())


def unnamed_layers():
    """Layers of equal shape that Keras named itself; the branches are built in another order than they are listed."""
    import keras

    image = keras.Input((8, 8, 3))
    deep = keras.layers.Conv2D(3, 1)(keras.layers.Conv2D(3, 1)(image))
    shallow = keras.layers.Conv2D(3, 1)(image)
    return keras.Model(image, keras.layers.Conv2D(3, 1)(keras.layers.Add()([shallow, deep])))


@pytest.mark.parametrize("name", ["w.weights.h5", "legacy_notop.h5"])
def test_layers_that_keras_named_in_another_process_are_matched_by_their_order(name: str, tmp_path: Path) -> None:
    import numpy as np

    from transfercli.models.weights.pretrained import base_tensors

    writer, reader = unnamed_layers(), unnamed_layers()
    for number, variable in enumerate(writer.weights):
        variable.assign(np.full(variable.shape, number))
    write_keras(writer, tmp_path / name)
    expected, found = base_tensors(writer), read(tmp_path / name, reader)
    assert found.keys() == expected.keys()
    assert all((found[key] == expected[key]).all() for key in expected)


@pytest.mark.parametrize("name", ["w.weights.h5", "legacy_notop.h5"])
def test_a_tensor_without_dimensions_is_read(name: str, tmp_path: Path) -> None:
    import keras
    import numpy as np

    image = keras.Input((8, 8, 3))
    base = keras.Model(image, keras.layers.Normalization(name="n")(image))
    base.get_layer("n").adapt_mean.assign(np.float32([1, 2, 3]))
    write_keras(base, tmp_path / name)
    found = read(tmp_path / name, base)
    assert {key: value.shape for key, value in found.items()} == {
        "base/n/mean": (3,),
        "base/n/variance": (3,),
        "base/n/count": (),
    }
    assert found["base/n/mean"].tolist() == [1, 2, 3]
