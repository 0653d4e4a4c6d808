"""Augmentation by preset or by layers; every random draw is determined by a key.

The presets are for photographs of objects: a horizontal flip, small shifts, no vertical flip. For data in which left
and right differ (digits, letters, road signs), list layers without the flip. Importing this module does not import
Keras, because the config checks names against its tables.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from transfercli.config.schema import AugmentationConfig
from transfercli.data.batching.mixup import DEFAULTS, MIXERS, Mixer
from transfercli.errors import ConfigError

VERSION = 2  # of the presets and the random draws; part of the key of cached features of views
RGB_RANGE = [0, 255]

# Layer -> arguments that it needs for raw RGB. A layer that changes the size (RandomCrop) is followed by a resize to
# the original size. All are layers of Keras and keep labels, except those of `mixup.py`.
LAYERS: dict[str, dict[str, Any]] = {
    **DEFAULTS,
    "AugMix": {"value_range": RGB_RANGE},
    "RandAugment": {"value_range": RGB_RANGE},
    "RandomBrightness": {"value_range": RGB_RANGE},
    "RandomColorDegeneration": {"value_range": RGB_RANGE},
    "RandomColorJitter": {"value_range": RGB_RANGE},
    "RandomContrast": {"value_range": RGB_RANGE},
    "RandomCrop": {},
    "RandomElasticTransform": {"value_range": RGB_RANGE},
    "RandomErasing": {"value_range": RGB_RANGE},
    "RandomFlip": {},
    "RandomGaussianBlur": {"value_range": RGB_RANGE},
    "RandomGrayscale": {},
    "RandomHue": {"value_range": RGB_RANGE},
    "RandomInvert": {"value_range": RGB_RANGE},
    "RandomPerspective": {},
    "RandomPosterization": {"value_range": RGB_RANGE},
    "RandomRotation": {},
    "RandomSaturation": {"value_range": RGB_RANGE},
    "RandomSharpness": {"value_range": RGB_RANGE},
    "RandomShear": {},
    "RandomTranslation": {},
    "RandomZoom": {},
}

# Layers whose transformation can be drawn per image and then applied to the whole batch with the same result, bit by
# bit. Of the others, some draw nothing per image, and some return a transformation without a row per image.
BATCHED_LAYERS = frozenset(LAYERS) - {
    *MIXERS,
    "AugMix",
    "RandAugment",
    "RandomColorJitter",
    "RandomCrop",
    "RandomElasticTransform",
    "RandomGaussianBlur",
}

_FLIP = {"RandomFlip": {"mode": "horizontal"}}


def _shift(part: float) -> dict[str, dict[str, Any]]:
    return {"RandomTranslation": {"height_factor": part, "width_factor": part, "fill_mode": "reflect"}}


def _rotate(degrees: float) -> dict[str, dict[str, Any]]:
    return {"RandomRotation": {"factor": degrees / 360, "fill_mode": "reflect"}}


def _zoom(closer: float, farther: float) -> dict[str, dict[str, Any]]:
    return {"RandomZoom": {"height_factor": [closer, farther], "fill_mode": "reflect"}}


# Presets by strength. `strong` draws the operations of RandAugment (Cubuk et al. 2020) for each image separately: the
# Keras layer of that name picks one set of operations per batch, computes all eleven to use two, and rotates by up to
# 180 degrees. Random erasing: Zhong et al. 2020.
PRESETS: dict[str, list[dict[str, dict[str, Any]]]] = {
    "none": [],
    "light": [_FLIP, _shift(0.05), _rotate(7)],
    "medium": [
        _FLIP,
        _shift(0.1),
        _rotate(15),
        _zoom(-0.15, 0.1),
        {"RandomBrightness": {"factor": 0.15}},
        {"RandomContrast": {"factor": 0.2}},
    ],
    "strong": [
        _FLIP,
        _shift(0.12),
        _rotate(25),
        _zoom(-0.3, 0.15),
        {"RandomShear": {"x_factor": 0.1, "y_factor": 0.1, "fill_mode": "reflect"}},
        {"RandomBrightness": {"factor": 0.25}},
        {"RandomContrast": {"factor": 0.4}},
        {"RandomColorDegeneration": {"factor": 0.6}},
        {"RandomErasing": {"factor": 0.5, "scale": [0.02, 0.2]}},
    ],
}


def build(config: AugmentationConfig, classes: int = 0) -> Augment | None:
    """Return the augmentation of a config, or None. Raises `ConfigError` if a layer refuses its arguments.

    classes: number of classes, needed only for MixUp and CutMix.
    """
    entries = config.layers or PRESETS[config.preset]
    return Augment(entries, classes) if entries else None


class Augment:
    """Augmentation of batches of raw RGB images; the same key always gives the same result, bit by bit.

    Layers run eagerly in list order. Before each layer, its Keras generators and Python's own generator (used by
    AugMix) are seeded from the key; Python's gets its earlier state back afterwards.

    soft: True if images are mixed; targets are then mixed, too, and `mix` must be called instead of the object.
    """

    def __init__(self, entries: Sequence[Mapping[str, Mapping[str, Any]]], classes: int = 0) -> None:
        self.classes = classes
        with _computing_alone():
            self.layers = [_layer(name, given) for entry in entries for name, given in entry.items()]
        self.soft = any(isinstance(layer, Mixer) for layer in self.layers)
        self.generators = [[] if isinstance(layer, Mixer) else list(_generators(layer)) for layer in self.layers]

    def __call__(self, images: np.ndarray, key: tuple[int, ...]) -> np.ndarray:
        """Return augmented images, uint8 [n, H, W, 3]. Raises `ValueError` if the layers mix targets, too."""
        if self.soft:
            raise ValueError("these layers mix targets too: call mix")
        return self._run(images, np.zeros((len(images), 0), np.float32), key)[0]

    def mix(self, images: np.ndarray, targets: np.ndarray, key: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Return mixed images, uint8 [n, H, W, 3], and targets, float32 [n, classes] with rows of sum 1.

        targets: int32 [n].
        """
        return self._run(images, self.soft_targets(targets), key)

    def soft_targets(self, targets: np.ndarray) -> np.ndarray:
        """Return targets, classes int32 [n] or labels [n, L], as fractions: float32 [n, C], before images are mixed."""
        several = targets.ndim == 2
        return targets.astype(np.float32) if several else np.eye(self.classes, dtype=np.float32)[targets]

    def augment_each(self, images: np.ndarray, keys: Sequence[tuple[int, ...]]) -> np.ndarray:
        """Return images, each augmented with its own key as if it were the only image of a batch.

        images: uint8 [n, H, W, 3]; keys: n keys. Raises `ValueError` if the layers mix images.
        """
        from keras import ops

        if self.soft:
            raise ValueError("these layers mix images: an image has no key of its own")
        batch = ops.convert_to_tensor(images, "float32")
        with _restored_random_state():
            for number, layer in enumerate(self.layers):
                batch = self._apply_to_each(layer, batch, keys, number)
        return _as_pixels(batch, images.shape)

    def _apply_to_each(self, layer: Any, batch: Any, keys: Sequence[tuple[int, ...]], number: int) -> Any:
        from keras import ops

        batched = type(layer).__name__ in BATCHED_LAYERS
        apply = partial(layer.get_random_transformation if batched else layer, training=True)
        results = []
        for row, key in enumerate(keys):
            self._seed(key, number)
            results.append(apply(batch[row : row + 1]))
        if not batched:
            return ops.concatenate(results)
        return layer.transform_images(batch, _batched(results, tuple(batch.shape)), training=True)

    def _run(self, images: np.ndarray, targets: np.ndarray, key: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        from keras import ops

        batch = ops.convert_to_tensor(images, "float32")
        with _restored_random_state():
            for number, layer in enumerate(self.layers):
                self._seed(key, number)
                if isinstance(layer, Mixer):
                    draws = np.random.default_rng([*key, number])
                    batch, targets = layer(ops.convert_to_numpy(batch), targets, draws)
                    batch = ops.convert_to_tensor(batch, "float32")
                else:
                    batch = layer(batch, training=True)
        return _as_pixels(batch, images.shape), targets

    def _seed(self, key: tuple[int, ...], number: int) -> None:
        """Seed the generators of layer `number` from the key."""
        generators = self.generators[number]
        random.seed(repr((*key, number)))
        # 31 bits: some backends store the state of a generator in a signed 32-bit integer.
        draws = np.random.SeedSequence([*key, number]).generate_state(2 * len(generators)) & 0x7FFFFFFF
        for generator, pair in zip(generators, draws.reshape(-1, 2), strict=True):
            generator.state.assign(pair)


@contextmanager
def _computing_alone() -> Iterator[None]:
    """Make variables that belong to this process, if several train together.

    A variable of all processes is assigned by all at the same moment, but each augments in a thread of its own.
    """
    from keras import distribution

    shared = distribution.distribution()
    distribution.set_distribution(None)
    try:
        yield
    finally:
        distribution.set_distribution(shared)


@contextmanager
def _restored_random_state() -> Iterator[None]:
    """Restore the state of Python's own generator after the block."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


def _as_pixels(batch: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return a batch as uint8 of `shape`, resized if the layers changed the size."""
    from keras import ops

    if tuple(batch.shape[1:3]) != shape[1:3]:
        batch = ops.image.resize(batch, shape[1:3], "bilinear", data_format="channels_last")
    return np.rint(np.clip(ops.convert_to_numpy(batch), 0, 255)).astype(np.uint8)


def _batched(transformations: Sequence[Any], shape: tuple[int, ...]) -> Any:
    """Return the transformations of single images as the transformation of a batch of `shape`."""
    from keras import ops

    first = transformations[0]
    if isinstance(first, Mapping):
        parts = {name: _batched([values[name] for values in transformations], shape) for name in first}
        return {**parts, "input_shape": shape} if "input_shape" in first else parts
    return ops.concatenate(transformations) if len(getattr(first, "shape", ())) else first


def pixel_dtype() -> str:
    """Return the dtype that layers compute in: float32, or float64 if that is Keras's."""
    import keras

    return "float64" if keras.config.floatx() == "float64" else "float32"


def _layer(name: str, given: Mapping[str, Any]) -> Any:
    if name in MIXERS:
        return _mixer(name, given)
    import keras

    arguments: dict[str, Any] = {**LAYERS[name], **given, "seed": 0, "data_format": "channels_last"}
    arguments["dtype"] = pixel_dtype()  # bfloat16, a possible global policy, has too few bits for pixel coordinates
    modes = ("horizontal", "vertical", "horizontal_and_vertical")
    try:
        if name == "RandomFlip" and given.get("mode", modes[0]) not in modes:  # Keras would silently not flip
            raise ValueError(f"mode must be one of {', '.join(modes)}")
        return getattr(keras.layers, name)(**arguments)
    except (TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"augmentation.layers: {name} does not take {dict(given)}: {reason}",
            f"see the arguments of keras.layers.{name}",
        ) from error


def _mixer(name: str, given: Mapping[str, Any]) -> Mixer:
    try:
        return MIXERS[name](**{**DEFAULTS[name], **given})
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"augmentation.layers: {name} does not take {dict(given)}: {error}",
            "allowed: alpha, a number above 0, and probability, from 0 to 1",
        ) from error


def _generators(layer: Any) -> Iterator[Any]:
    """Yield the seed generators of a layer and of its sub-layers, in a fixed order."""
    import keras

    for name in sorted(vars(layer)):
        value = getattr(layer, name, None)
        if isinstance(value, keras.random.SeedGenerator):
            yield value
        elif isinstance(value, keras.layers.Layer) and not name.startswith("_"):
            yield from _generators(value)
