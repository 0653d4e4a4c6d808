"""With several labels, each label of an image has a heat map of its own, over its own thing."""

from __future__ import annotations

import numpy as np

from transfercli.config.schema import HeadConfig
from transfercli.evaluation.explain import attribution
from transfercli.evaluation.explain.heatmaps import resized
from transfercli.evaluation.multilabel.predictions import LabelPredictions
from transfercli.reporting import Reporter

SIDE, PATCH = 32, 11
LABELS = ("columns", "rows")


def scenes(count: int, seed: int, labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise with vertical stripes on its left, or horizontal ones on its right, or both, or neither; and targets."""
    draw = np.random.default_rng(seed)
    images = draw.integers(90, 160, (count, SIDE, SIDE, 3)).astype("uint8")
    targets = draw.integers(0, 2, (count, labels))
    tops = draw.integers(0, SIDE - PATCH, (count, 2))
    for image, target, (left, right) in zip(images, targets, tops, strict=True):
        if target[0]:
            image[left : left + PATCH, 2 : 2 + PATCH] = np.where(np.arange(PATCH) % 2, 0, 255)[None, :, None]
        if target[-1] and labels == 2:
            image[right : right + PATCH, 19 : 19 + PATCH] = np.where(np.arange(PATCH) % 2, 0, 255)[:, None, None]
    return images, targets


def explained(labels: int) -> tuple[LabelPredictions, dict]:
    """Train a small network, and explain its answers to other images."""
    import keras

    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier

    keras.utils.set_random_seed(0)
    head = HeadConfig(output="sigmoid", pooling="avg")
    architecture = Architecture("small_cnn", (SIDE, SIDE), 3, head, LABELS[:labels], True, task="multilabel")
    classifier = build_classifier(architecture)
    images, targets = scenes(256, 0, labels)
    classifier.predictor.compile(keras.optimizers.Adam(3e-3), "binary_crossentropy")
    classifier.predictor.fit(images, targets, batch_size=32, epochs=6, verbose=0)
    images, targets = scenes(40, 1, labels)
    answers = classifier.predictor.predict(images, verbose=0)
    paths = tuple(f"{n}.png" for n in range(len(images)))
    predictions = LabelPredictions(paths, LABELS[:labels], targets, answers, np.full(labels, 0.5))
    assert (predictions.answered == (targets == 1)).mean() > 0.9
    found = attribution.explain(classifier, predictions, lambda rows: images[rows], 32, Reporter())
    return predictions, found


def halves(heat: np.ndarray) -> tuple[float, float]:
    large = resized(heat, (SIDE, SIDE))
    return float(large[:, : SIDE // 2].mean()), float(large[:, SIDE // 2 :].mean())


def test_each_label_of_an_image_is_explained_by_its_own_thing() -> None:
    predictions, found = explained(2)
    both = [index for index in range(40) if (index, 0) in found and (index, 1) in found]
    both = [index for index in both if (predictions.targets[index] == 1).all() and predictions.answered[index].all()]
    assert len(both) >= 3
    for maps in ("heat", "occlusion"):
        shown = [index for index in both if all(getattr(found[index, label], maps) is not None for label in (0, 1))]
        for index in shown:
            columns, rows = (halves(getattr(found[index, label], maps)) for label in (0, 1))
            assert columns[0] - columns[1] > rows[0] - rows[1], (maps, index)
    answered_or_had = predictions.answered | (predictions.targets == 1)
    assert all(answered_or_had[image, label] for image, label in found)
    assert any(explanation.occlusion is not None for explanation in found.values())


def test_the_unit_of_a_single_label_is_explained_with_its_own_sign() -> None:
    predictions, found = explained(1)
    hot = [halves(found[key].heat) for key in found if predictions.targets[key] == 1 and predictions.answered[key]]
    assert len(hot) >= 3
    assert np.mean([left > right for left, right in hot]) > 0.8
