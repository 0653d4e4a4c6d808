"""The out-of-distribution score: as layers, in its file, and in numpy, it is the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from transfercli.errors import ArtefactError
from transfercli.models.unknown.file import read_score, write_score
from transfercli.models.unknown.score import UnknownScore
from transfercli.transfer.unknown.fit import SCORES, Known, fit_score, fit_space


def known(images: int = 90, width: int = 80, seed: int = 0) -> Known:
    rng = np.random.default_rng(seed)
    targets = np.arange(images) % 3
    features = np.abs(rng.normal(size=(images, width)) + 2 * np.eye(3, width)[targets]).astype(np.float32)
    return Known(features, rng.normal(size=images), targets)


def score(name: str, width: int = 80) -> UnknownScore:
    training = known(width=width)
    return fit_score(name, fit_space(training.features, training.targets, 0), known(width=width, seed=1))


@pytest.mark.parametrize("width", [8, 80])  # fewer channels than components, and more
@pytest.mark.parametrize("name", SCORES)
def test_layers_give_the_scores_of_numpy(name: str, width: int) -> None:
    import keras

    from transfercli.evaluation.confidence.temperature import class_logits
    from transfercli.models.unknown.layers import score_of
    from transfercli.models.unknown.score import energies

    fitted, images = score(name, width), known(40, width, seed=2).features
    for units in (1, 3):  # a sigmoid head and a softmax head
        logits = np.random.default_rng(3).normal(0, 3, (40, units)).astype("float32")
        features, outputs = keras.Input((width,)), keras.Input((units,))
        layers = keras.Model([features, outputs], score_of(fitted, features, outputs))
        expected = fitted.scores(images, energies(class_logits(logits)))
        assert layers.output.shape == (None,)
        np.testing.assert_allclose(layers.predict_on_batch([images, logits]), expected, rtol=2e-3, atol=2e-3)


def test_a_file_gives_the_score_back_to_the_bit(tmp_path: Path) -> None:
    fitted, images = score("neighbour_and_relative_mahalanobis"), known(seed=2)
    write_score(tmp_path / "unknown.safetensors", fitted)
    read = read_score(tmp_path / "unknown.safetensors")
    assert read is not None
    assert (read.name, read.threshold, dict(read.weights)) == (fitted.name, fitted.threshold, dict(fitted.weights))
    np.testing.assert_array_equal(
        read.scores(images.features, images.energy), fitted.scores(images.features, images.energy)
    )
    write_score(tmp_path / "again", read)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "unknown.safetensors").read_bytes()
    assert read_score(tmp_path / "missing") is None


def test_a_file_says_if_the_score_reads_taps_and_one_of_an_earlier_version_does_not(tmp_path: Path) -> None:
    import json
    from dataclasses import replace

    import safetensors
    import safetensors.numpy

    path = tmp_path / "unknown.safetensors"
    write_score(path, replace(score("mahalanobis"), taps=True))
    assert read_score(path).taps is True
    with safetensors.safe_open(path, "numpy") as file:
        values = json.loads(file.metadata()["unknown"])
    del values["taps"]
    tensors = safetensors.numpy.load(path.read_bytes())
    path.write_bytes(safetensors.numpy.save(tensors, {"unknown": json.dumps(values)}))
    assert read_score(path).taps is False


@pytest.mark.parametrize("damage", ["cut", "text", "format", "threshold", "large", "part", "zero", "shape", "nan"])
def test_a_damaged_file_is_an_error_of_the_run(damage: str, tmp_path: Path) -> None:
    import json

    import safetensors.numpy

    path = tmp_path / "unknown.safetensors"
    write_score(path, score("mahalanobis"))
    content = path.read_bytes()
    tensors = safetensors.numpy.load(content)
    length = int.from_bytes(content[:8], "little")
    values = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["unknown"])
    changed = {
        "format": {"format": 2},
        "threshold": {"threshold": "high"},
        "large": {"threshold": 10**400},
        "part": {"weights": {"__import__": 1.0}},
        "zero": {"weights": {"neighbour": 0.0}},
    }
    if damage == "shape":
        tensors["centres"] = tensors["centres"][:, :-1].copy()
    if damage == "nan":
        tensors["within"][0, 0] = np.nan
    values |= changed.get(damage, {})
    if damage == "cut":
        path.write_bytes(content[:-5])
    elif damage == "text":
        path.write_text("not a file of tensors")
    else:
        path.write_bytes(safetensors.numpy.save(tensors, {"unknown": json.dumps(values)}))
    with pytest.raises(ArtefactError, match=r"unknown\.safetensors"):
        read_score(path)
