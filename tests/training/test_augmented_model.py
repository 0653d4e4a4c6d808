"""Augmentation inside the step of JAX: each operation as on the host, draws that follow from the image's key."""

from __future__ import annotations

import threading
from functools import cache

import numpy as np
import pytest

from tests.backends import jax_only
from transfercli.data.batching.augment import LAYERS, PRESETS, Augment
from transfercli.data.batching.mixup import MIXERS
from transfercli.data.batching.step_augmentation import HOST_ONLY, StepAugmentation, image_keys, in_step

pytestmark = jax_only("JAX compiles the augmentation into the step")

SIZE = 24
# Arguments of layers that need some.
GIVEN = {
    "RandomBrightness": {"factor": 0.3},
    "RandomColorDegeneration": {"factor": 0.6},
    "RandomColorJitter": {
        "brightness_factor": 0.2,
        "contrast_factor": 0.3,
        "saturation_factor": 0.4,
        "hue_factor": 0.1,
    },
    "RandomContrast": {"factor": 0.4},
    "RandomHue": {"factor": 0.2},
    "RandomPosterization": {"factor": 5},
    "RandomRotation": {"factor": 0.1},
    "RandomSaturation": {"factor": 0.3},
    "RandomSharpness": {"factor": 0.5},
    "RandomShear": {"x_factor": 0.2, "y_factor": 0.1},
    "RandomTranslation": {"height_factor": 0.1, "width_factor": 0.2},
    "RandomZoom": {"height_factor": [-0.3, 0.1]},
}
FEW = ("RandomBrightness", "RandomErasing", "RandomRotation")  # one that changes colours, one that cuts, one that moves


def pixels(count: int, size: int = SIZE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


def step_of(entries: list, classes: int = 0) -> StepAugmentation:
    step = in_step(Augment(entries, classes))
    assert isinstance(step, StepAugmentation)
    return step


def run(step: StepAugmentation, images: np.ndarray, keys: np.ndarray, targets=None, weights=None) -> list[np.ndarray]:
    import jax

    targets = np.zeros(len(images), np.int32) if targets is None else targets
    weights = np.ones(len(images), np.float32) if weights is None else weights
    return [np.asarray(part) for part in jax.jit(step.__call__)(images, keys, targets, weights)]


def on_the_host(entries: list, images: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Return images that Keras's layers changed one by one, outside any step, from the same states."""
    from jax import random

    augment, changed = Augment(entries), []
    for image, (*words, row, repetition) in zip(images, keys, strict=True):
        key = random.wrap_key_data(np.array(words, np.uint32), impl="threefry2x32")
        key, batch = random.fold_in(random.fold_in(key, row), repetition), image[None].astype(np.float32)
        for number, (layer, generators) in enumerate(zip(augment.layers, augment.generators, strict=True)):
            for place, generator in enumerate(generators):
                generator.state.assign(random.key_data(random.fold_in(random.fold_in(key, number), place)))
            batch = layer(batch, training=True)
        changed.append(np.rint(np.clip(batch, 0, 255))[0])
    return np.stack(changed).astype(np.uint8)


def check_layer(name: str) -> None:
    entries, images, keys = [{name: GIVEN.get(name, {})}], pixels(5), image_keys(3, 1, np.arange(5))
    found, wanted = run(step_of(entries), images, keys)[0], on_the_host(entries, images, keys)
    difference = np.abs(found.astype(int) - wanted)
    assert difference.max() <= 1  # a value near a half is rounded up or down
    assert (difference > 0).mean() < 0.01
    assert (found != images).any()


@pytest.mark.parametrize("name", FEW)
def test_a_layer_changes_an_image_as_keras_does_outside_the_step(name: str) -> None:
    check_layer(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(LAYERS) - MIXERS.keys() - HOST_ONLY - {*FEW}))
def test_every_layer_changes_an_image_as_keras_does_outside_the_step(name: str) -> None:
    check_layer(name)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["light", "medium", "strong"])
def test_presets_run_in_the_step(preset: str) -> None:
    images, keys = pixels(6), image_keys(0, 1, np.arange(6))
    found, wanted = run(step_of(PRESETS[preset]), images, keys)[0], on_the_host(PRESETS[preset], images, keys)
    assert np.abs(found.astype(int) - wanted).max() <= 2  # a layer passes on what the one before rounds


@pytest.mark.parametrize("name", sorted(HOST_ONLY))
def test_what_cannot_be_compiled_stays_on_the_host(name: str) -> None:
    given = {"RandomCrop": {"height": 9, "width": 9}}.get(name, {})
    augment = Augment([{"RandomFlip": {}}, {name: given}])
    assert in_step(augment) is augment


def test_draws_depend_on_the_key_alone() -> None:
    step, images, keys = step_of(PRESETS["light"]), pixels(8), image_keys(0, 1, np.arange(8))
    whole, part = run(step, images, keys)[0], np.array([6, 1, 3])
    assert np.abs(run(step, images[part], keys[part])[0].astype(int) - whole[part]).max() <= 1
    same = np.repeat(images[:1], 8, axis=0)
    assert len(np.unique(run(step, same, keys)[0].reshape(8, -1), axis=0)) == 8
    assert (run(step, images, image_keys(0, 2, np.arange(8)))[0] != whole).mean() > 0.5


def test_draws_have_the_distribution_of_the_host() -> None:
    from scipy.stats import ks_2samp

    grey = np.full((400, 4, 4, 3), 128, np.uint8)
    entries = [{"RandomBrightness": {"factor": 0.3}}]
    found = run(step_of(entries), grey, image_keys(0, 1, np.arange(400)))[0][:, 0, 0, 0]
    wanted = Augment(entries)(grey, (0, 1, 2))[:, 0, 0, 0]
    assert ks_2samp(found, wanted).pvalue > 0.01
    half = np.zeros((400, 4, 4, 3), np.uint8)
    half[:, :, 2:] = 200
    flipped = run(step_of([{"RandomFlip": {"mode": "horizontal"}}]), half, image_keys(0, 1, np.arange(400)))[0]
    assert abs((flipped[:, 0, 0, 0] == 200).mean() - 0.5) < 0.08


@pytest.mark.parametrize("name", sorted(MIXERS))
def test_images_are_mixed_as_on_the_host(name: str) -> None:
    from scipy.stats import ks_2samp

    count = 300
    classes = np.arange(count, dtype=np.int32) % 3
    flat = np.broadcast_to((classes * 100).astype(np.uint8)[:, None, None, None], (count, 12, 12, 3)).copy()
    entries = [{name: {"alpha": 0.5, "probability": 0.7}}]
    step, weights = step_of(entries, 3), np.array([1, 2, 5], np.float32)[classes]
    soft = step.targets_of(classes)
    images, targets, mixed = run(step, flat, image_keys(0, 1, np.arange(count)), soft, weights)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(images.mean((1, 2, 3)), targets @ [0, 100, 200], atol=0.6)
    np.testing.assert_allclose(mixed, targets @ [1, 2, 5], rtol=1e-5)
    host = Augment(entries, 3).mix(flat, classes, (0, 1, 2))[1]
    assert ks_2samp(targets.max(axis=1), host.max(axis=1)).pvalue > 0.01


def test_rows_that_fill_a_batch_are_not_mixed_into_images() -> None:
    flat = np.full((8, 4, 4, 3), 100, np.uint8)
    flat[6:] = 255
    weights = np.array([1.0] * 6 + [0.0] * 2, np.float32)
    step = step_of([{"MixUp": {"alpha": 1.0}}], 2)
    targets = step.targets_of(np.array([0] * 6 + [1] * 2))
    images, mixed, new = run(step, flat, image_keys(0, 1, np.arange(8)), targets, weights)
    assert (images[:6] == 100).all()
    np.testing.assert_allclose(mixed[:6], targets[:6])
    np.testing.assert_allclose(new, weights)


# -- training


@cache
def data() -> tuple[np.ndarray, np.ndarray]:
    return pixels(22, 16), (np.arange(22) % 3).astype(np.int32)


def trained(pipeline_of, stop_at: int | None = None, mixes: bool = False):
    """Return the weights after two epochs of a small network with dropout; `stop_at`: the step that is interrupted."""
    import keras

    from transfercli.data.batching.batches import Batches
    from transfercli.models.forward import forward
    from transfercli.reporting import Reporter
    from transfercli.rows import ArrayRows
    from transfercli.training.augmented_model import AugmentedModel
    from transfercli.training.backend import reading
    from transfercli.training.losses_of_steps import LossesOfSteps

    keras.utils.set_random_seed(0)
    images = keras.Input((16, 16, 3), dtype="uint8")
    x = keras.layers.Conv2D(4, 3)(keras.layers.Rescaling(1 / 255)(images))
    x = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(x))
    network = keras.Model(images, keras.layers.Dense(3)(x))
    step = step_of([{"RandomFlip": {}}, {"RandomBrightness": {"factor": 0.2}}] + [{"MixUp": {}}] * mixes, 3)
    model = AugmentedModel(network, step)
    batches = Batches(ArrayRows(data()[0]), data()[1], 8, seed=1, augment=step)
    loss = keras.losses.CategoricalCrossentropy if mixes else keras.losses.SparseCategoricalCrossentropy
    model.compile("adam", loss=loss(from_logits=True), jit_compile=True)
    done: list[int] = []

    def report(number: int, loss: float) -> None:
        done.append(number)
        if len(done) == stop_at:
            raise KeyboardInterrupt

    pipeline = pipeline_of(batches)
    for epoch in (1, 2):
        batches.set_epoch(epoch)
        with reading(pipeline) as rows:
            model.fit(rows, shuffle=False, verbose=0, callbacks=LossesOfSteps(model, report, 1))
        assert done == [0, 1, 2] * epoch
    found = forward(model, ArrayRows(data()[0]), 8, Reporter())
    assert np.array_equal(found, forward(network, ArrayRows(data()[0]), 8, Reporter()))
    assert [v.path for v in model.trainable_variables] == [v.path for v in network.trainable_variables]
    return [np.asarray(weight) for weight in network.get_weights()]


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


@pytest.mark.parametrize("mixes", [False, True])
def test_reading_ahead_changes_no_bit_of_a_training(mixes: bool) -> None:
    from transfercli.training.backend import input_pipeline

    ahead = trained(input_pipeline, mixes=mixes)
    assert readers() == []
    one_by_one = trained(lambda batches: batches, mixes=mixes)
    assert all(np.array_equal(*pair) for pair in zip(ahead, one_by_one, strict=True))


def test_no_thread_is_left_after_an_interrupt() -> None:
    from transfercli.training.backend import input_pipeline

    with pytest.raises(KeyboardInterrupt):
        trained(input_pipeline, stop_at=2)
    assert readers() == []
