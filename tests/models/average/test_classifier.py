"""Averages: the probabilities are the mean of those of the networks, and what they have in common is there once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from transfercli.config.schema import HeadConfig
from transfercli.models.architecture import Architecture, Member
from transfercli.models.average.classifier import build_average
from transfercli.models.classifier import Classifier, build_classifier
from transfercli.models.explanations.grad_cam_cut import cut_for_grad_cam
from transfercli.models.inference_model import build_inference_model
from transfercli.models.surgery import cut_after_base
from transfercli.models.tasks.calibration import Calibration
from transfercli.models.tasks.outputs import softmax
from transfercli.models.tensor_names import assign_tensors, named_variables, read_tensors
from transfercli.workflows.merge.networks import _value, same

SIZE, LABELS = (48, 48), ("a", "b")
PLAIN, HIDDEN, TAPS = HeadConfig(), HeadConfig(hidden=[7], output="sigmoid"), HeadConfig(taps="stages")
MAX, FLAT = HeadConfig(pooling="max", taps="stages", normalisation="length"), HeadConfig(pooling="flatten")


Specs = list[tuple[str, HeadConfig]]


def everything(name: str) -> bool:
    return name.startswith("base/")


def nothing(name: str) -> bool:
    return not name


def networks(specs: Specs, shared: Any) -> tuple[list[Classifier], list[dict[str, np.ndarray]]]:
    """Classifiers with random weights; those of a base whose names `shared` accepts are the first's."""
    rng = np.random.default_rng(0)
    classifiers = [build_classifier(Architecture(base, SIZE, 3, head, LABELS)) for base, head in specs]
    tensors = [
        {
            name: value + rng.normal(scale=0.02, size=value.shape).astype(value.dtype) if "kernel" in name else value
            for name, value in read_tensors(classifier).items()
        }
        for classifier in classifiers
    ]
    for other in tensors[1:]:
        other |= {name: tensors[0][name] for name in other if name.startswith("base/") and shared(name)}
    for classifier, values in zip(classifiers, tensors, strict=True):
        assign_tensors(classifier, values)
    return classifiers, tensors


def averaged(specs: Specs, tensors: list[dict[str, np.ndarray]]) -> Classifier:
    members = []
    for (base, head), values in zip(specs[1:], tensors[1:], strict=True):
        own = {n.split("/")[1] for n, v in values.items() if n.startswith("base/") and not same(v, tensors[0].get(n))}
        members.append(Member(base, head, own))
    average = build_average(Architecture(specs[0][0], SIZE, 3, specs[0][1], LABELS, members=tuple(members)))
    assign_tensors(average, {name: _value(name, tensors) for name in named_variables(average)})
    return average


@pytest.mark.parametrize(
    "specs, shared, layers",
    [
        ([("small_cnn", PLAIN), ("small_cnn", HIDDEN)], everything, 0),
        ([("small_cnn", PLAIN), ("small_cnn", MAX), ("small_cnn", FLAT)], everything, 0),
        ([("small_cnn", TAPS), ("small_cnn", PLAIN)], lambda name: "conv3" not in name, 1),
        ([("small_cnn", TAPS), ("small_cnn", TAPS)], lambda name: "conv2" not in name, 2),
        ([("small_cnn", PLAIN), ("mobilenetv2", TAPS)], nothing, None),
    ],
    ids=["one base", "other poolings", "upper part", "every layer above", "other base"],
)
def test_probabilities_are_the_mean_in_every_model_of_the_average(
    specs: Specs, shared: Any, layers: int | None
) -> None:
    classifiers, tensors = networks(specs, shared)
    average = averaged(specs, tensors)
    images = np.random.default_rng(1).integers(0, 256, (3, *SIZE, 3)).astype(np.uint8)
    each = [softmax(np.asarray(one.model.predict_on_batch(images))) for one in classifiers]
    expected = np.mean(each, axis=0)
    cut = cut_after_base(average)
    for output in (
        average.model.predict_on_batch(images),
        cut.top.predict_on_batch(cut.prefix.predict_on_batch(images)),
    ):
        np.testing.assert_allclose(softmax(np.asarray(output)), expected, atol=1e-6)
    np.testing.assert_allclose(np.asarray(average.predictor.predict_on_batch(images)), expected, atol=1e-6)
    sharpened = expected**2 / (expected**2).sum(axis=1, keepdims=True)
    inference = build_inference_model(average, Calibration.of_temperature(0.5))
    np.testing.assert_allclose(np.asarray(inference.predict_on_batch(images)), sharpened, atol=2e-6)
    maps, gradients = cut_for_grad_cam(average).with_gradient(images, np.zeros(3, int))
    assert maps.shape == gradients.shape
    assert np.abs(gradients).max() > 0
    if layers is not None:
        own = {name.split("/")[1] for name in named_variables(average) if name.startswith("base/member")}
        assert len(own) == layers


def test_patches_of_an_average_of_transformers_have_gradients(small_transformers: None) -> None:
    from transfercli.models.explanations.patch_gradients import patch_gradients

    specs = [("tiny_vit", PLAIN), ("tiny_vit", HeadConfig(pooling="token_avg", hidden=[5]))]
    images = np.random.default_rng(1).integers(0, 256, (2, *SIZE, 3)).astype(np.uint8)
    classifiers, tensors = networks(specs, lambda name: "block1" not in name)
    average = averaged(specs, tensors)
    expected = np.mean([softmax(np.asarray(one.model.predict_on_batch(images))) for one in classifiers], axis=0)
    output = np.asarray(average.model.predict_on_batch(images))
    np.testing.assert_allclose(softmax(output), expected, atol=1e-6)
    assert np.abs(patch_gradients(average)(images, np.zeros(2, int))).max() > 0


def test_the_energy_of_an_average_is_that_of_its_networks() -> None:
    from transfercli.evaluation.confidence.temperature import class_logits
    from transfercli.models.unknown.score import energies

    specs = [("small_cnn", PLAIN), ("small_cnn", HIDDEN)]
    classifiers, tensors = networks(specs, everything)
    images = np.random.default_rng(1).integers(0, 256, (3, *SIZE, 3)).astype(np.uint8)
    each = [energies(class_logits(np.asarray(one.model.predict_on_batch(images)))) for one in classifiers]
    output = np.asarray(averaged(specs, tensors).model.predict_on_batch(images))
    np.testing.assert_allclose(energies(output.astype(np.float64)), np.mean(each, axis=0), atol=1e-5)
