"""Explanations of a vision transformer, compared by how well they point at the object that makes the class.

Usage: python -m benchmarks.explain_tokens [--pooling token avg] [--seeds 0]

Each picture of 64 x 64 pixels has dark noise, a digit (0, 1, 4 or 7) of 24 pixels in one quarter, and in another a
bright disc of any colour, which says nothing about the class. A transformer of 4 blocks and 8 x 8 patches is trained on
them. Over the test pictures that it gets right, the Markdown table has the mean part of the heat that lies in the
digit's square (14% of the picture), and the share of pictures whose hottest patch lies in it.
"""

from __future__ import annotations

import argparse

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

from tests.models.transformers import tiny_transformer
from transfercli.config.schema import HeadConfig
from transfercli.models.architecture import Architecture
from transfercli.models.bases import BASES
from transfercli.models.classifier import Classifier, build_classifier
from transfercli.models.explanations.patch_gradients import patch_gradients

SIDE, DIGIT, PATCH, DEPTH = 64, 24, 8, 4
GRID, TOKENS = SIDE // PATCH, 1 + (SIDE // PATCH) ** 2
CLASSES, TESTED, COPIES, EPOCHS = (0, 1, 4, 7), 150, 6, 14

Pictures = tuple[np.ndarray, np.ndarray, np.ndarray]  # uint8 [N, 64, 64, 3], classes [N], squares of digits [N, 64, 64]


def scene(digit: np.ndarray, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture of a digit [8, 8], 0 to 1, beside a disc, and the mask of the digit's square."""
    canvas, mask = draw.uniform(0, 0.25, (SIDE, SIDE, 3)), np.zeros((SIDE, SIDE), bool)
    rows, columns = np.mgrid[:DIGIT, :DIGIT] - (DIGIT - 1) / 2
    disc = (rows**2 + columns**2 < draw.uniform(5, 11) ** 2)[..., None] * draw.uniform(0.6, 1, 3)
    shapes = (np.kron(digit, np.ones((3, 3)))[..., None], disc)
    for quarter, shape in zip(draw.permutation(4), shapes, strict=False):
        top, left = (SIDE // 2 * side + draw.integers(0, SIDE // 2 - DIGIT + 1) for side in divmod(int(quarter), 2))
        square = slice(top, top + DIGIT), slice(left, left + DIGIT)
        canvas[square] = np.maximum(canvas[square], shape)
        if shape is shapes[0]:
            mask[square] = True
    return (canvas * 255).astype("uint8"), mask


def pictures(seed: int) -> tuple[Pictures, Pictures]:
    """Return training and test pictures."""
    draw, digits = np.random.default_rng(seed), load_digits()
    chosen = draw.permutation(np.flatnonzero(np.isin(digits.target, CLASSES)))
    parts = []
    for rows in (np.tile(chosen[TESTED:], COPIES), chosen[:TESTED]):
        scenes = [scene(digits.images[row] / 16, draw) for row in rows]
        images, masks = (np.stack(values) for values in zip(*scenes, strict=True))
        parts.append((images, np.searchsorted(CLASSES, digits.target[rows]), masks))
    return parts[0], parts[1]


def trained(pooling: str, seed: int, training: Pictures) -> Classifier:
    """Return a small transformer that was trained on pictures."""
    keras.utils.set_random_seed(seed)
    architecture = Architecture("small", (SIDE, SIDE), 3, HeadConfig(pooling=pooling), tuple(map(str, CLASSES)))
    classifier = build_classifier(architecture)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.model.compile(keras.optimizers.AdamW(1e-3, weight_decay=1e-4), loss)
    classifier.model.fit(*training[:2], epochs=EPOCHS, batch_size=64, verbose=0)
    return classifier


def other_heats(classifier: Classifier, pooling: str, images: np.ndarray, classes: np.ndarray) -> dict[str, np.ndarray]:
    """Return heat maps [N, 8, 8] of other methods, by name.

    Grad-CAM is on the tokens that the last block reads. Rollout is from Abnar & Zuidema 2020; with gradients, from
    Chefer, Gur & Wolf 2021 ("Generic attention-model explainability", equations 5 and 6).
    """
    base = classifier.base
    names = [f"block{DEPTH - 1}_add2", *(f"block{number}_attention" for number in range(1, DEPTH + 1))]
    parts = keras.Model(base.input, [*(base.get_layer(name).output for name in names), base.output])
    pixels = tf.constant(images, tf.float32) / 127.5 - 1
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        *values, output = parts(pixels, training=False)
        score = tf.reduce_sum(classifier.head(output) * tf.one_hot(classes, len(CLASSES)))
    tokens, *attention = (value.numpy() for value in values)
    slopes, *attention_slopes = (slope.numpy() for slope in tape.gradient(score, values))
    one = np.eye(TOKENS)
    rollout = with_gradients = np.repeat(one[None], len(images), axis=0)
    for weights, weight_slopes in zip(attention, attention_slopes, strict=True):
        rollout = (weights.mean(axis=1) + one) / 2 @ rollout
        with_gradients = with_gradients + np.maximum(weights * weight_slopes, 0).mean(axis=1) @ with_gradients

    def of_patches(relevance: np.ndarray) -> np.ndarray:
        """Return the relevance of each patch for what is pooled: the class token, or the other patches."""
        return relevance[:, 0, 1:] if pooling == "token" else (relevance * (1 - one))[:, 1:, 1:].mean(axis=1)

    mean_slope = slopes[:, 1:].mean(axis=1, keepdims=True)
    heats = {
        "Grad-CAM of the last block": np.maximum((tokens * mean_slope).sum(axis=-1), 0)[:, 1:],
        "attention rollout": of_patches(rollout),
        "attention rollout with gradients": of_patches(with_gradients),
    }
    return {name: heat.reshape(-1, GRID, GRID) for name, heat in heats.items()}


def scores(heats: np.ndarray, masks: np.ndarray) -> tuple[float, float]:
    """Return the mean part of the heat inside the masks, and the share of hottest patches that are."""
    large = np.kron(heats, np.ones((1, PATCH, PATCH)))
    inside = (large * masks).sum(axis=(1, 2)) / np.maximum(large.sum(axis=(1, 2)), 1e-12)
    hottest = large.reshape(len(large), -1).argmax(axis=1)
    return float(inside.mean()), float(np.take_along_axis(masks.reshape(len(masks), -1), hottest[:, None], 1).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pooling", nargs="+", default=["token", "avg"], choices=["token", "avg"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    arguments = parser.parse_args()
    BASES["small"] = tiny_transformer("small", patch=PATCH, width=64, depth=DEPTH, heads=4)
    print("| Pooling | Seed | Accuracy | Method | Heat on the digit | Hottest patch on the digit |")
    print("|---|---|---|---|---|---|")
    for pooling in arguments.pooling:
        for seed in arguments.seeds:
            training, (images, targets, masks) = pictures(seed)
            classifier = trained(pooling, seed, training)
            predicted = classifier.model.predict_on_batch(images).argmax(axis=1)
            right = predicted == targets
            heats = {"gradient by shares of patches": np.maximum(patch_gradients(classifier)(images, predicted), 0)}
            for method, heat in (heats | other_heats(classifier, pooling, images, predicted)).items():
                inside, pointing = scores(heat[right], masks[right])
                cells = (pooling, seed, f"{right.mean():.1%}", method, f"{inside:.0%}", f"{pointing:.0%}")
                print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
