"""Augmentation by name and strength, or layer by layer; every draw follows from a key.

The presets are meant for photographs of things: a horizontal flip, small shifts, no upside-down. Data with a left and
a right (digits, letters, road signs) lists its layers without the flip. Imports without Keras: the config checks names
against these tables.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from transfercli.config.schema import AugmentationConfig
from transfercli.data.batching.mixup import DEFAULTS, MIXERS, Mixer
from transfercli.errors import ConfigError

VERSION = 2  # of the presets and of how layers are drawn; features of views follow from it
RGB_RANGE = [0, 255]

# Layer -> the arguments it cannot do without for raw RGB. A layer that changes the size (RandomCrop) is followed by a
# resize back. All are of Keras and keep labels as they are, but for those of `mixing.py`.
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

# Layers that can draw for one image at a time and then change all images in one step, to the same bits. Of the others,
# some draw nothing by image, and some give a transformation that has no row an image.
TOGETHER = frozenset(LAYERS) - {
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


def _turn(degrees: float) -> dict[str, dict[str, Any]]:
    return {"RandomRotation": {"factor": degrees / 360, "fill_mode": "reflect"}}


def _zoom(closer: float, farther: float) -> dict[str, dict[str, Any]]:
    return {"RandomZoom": {"height_factor": [closer, farther], "fill_mode": "reflect"}}


# Strength by name. `strong` draws from the families of RandAugment (Cubuk et al. 2020) for every image by itself: the
# Keras layer of that name picks one set of operations a batch, runs all eleven to use two, and turns by up to 180
# degrees. Random erasing: Zhong et al. 2020.
PRESETS: dict[str, list[dict[str, dict[str, Any]]]] = {
    "none": [],
    "light": [_FLIP, _shift(0.05), _turn(7)],
    "medium": [
        _FLIP,
        _shift(0.1),
        _turn(15),
        _zoom(-0.15, 0.1),
        {"RandomBrightness": {"factor": 0.15}},
        {"RandomContrast": {"factor": 0.2}},
    ],
    "strong": [
        _FLIP,
        _shift(0.12),
        _turn(25),
        _zoom(-0.3, 0.15),
        {"RandomShear": {"x_factor": 0.1, "y_factor": 0.1, "fill_mode": "reflect"}},
        {"RandomBrightness": {"factor": 0.25}},
        {"RandomContrast": {"factor": 0.4}},
        {"RandomColorDegeneration": {"factor": 0.6}},
        {"RandomErasing": {"factor": 0.5, "scale": [0.02, 0.2]}},
    ],
}


def build(config: AugmentationConfig, classes: int = 0) -> Augment | None:
    """The augmentation of a config, or None; raises ConfigError where a layer's arguments are refused.

    classes: how many there are; only MixUp and CutMix need to know.
    """
    entries = config.layers or PRESETS[config.preset]
    return Augment(entries, classes) if entries else None


class Augment:
    """Changes batches of raw RGB images; the same key gives the same bits, whatever was drawn before.

    Layers run eagerly in list order. Before each, its generators of Keras are set from the key, and so is Python's own
    (AugMix picks its operations with it), which gets its state back afterwards.

    soft: whether images are mixed, and so are targets: then `mix` is to be called, which knows them.
    """

    def __init__(self, entries: Sequence[Mapping[str, Mapping[str, Any]]], classes: int = 0) -> None:
        self.classes = classes
        self.layers = [_layer(name, given) for entry in entries for name, given in entry.items()]
        self.soft = any(isinstance(layer, Mixer) for layer in self.layers)
        self.generators = [[] if isinstance(layer, Mixer) else list(_generators(layer)) for layer in self.layers]

    def __call__(self, images: np.ndarray, key: tuple[int, ...]) -> np.ndarray:
        """uint8 [n, H, W, 3] -> uint8 of the same shape; ValueError where targets had to change with them."""
        if self.soft:
            raise ValueError("these layers mix targets too: call mix")
        return self._run(images, np.zeros((len(images), 0), np.float32), key)[0]

    def mix(self, images: np.ndarray, targets: np.ndarray, key: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Images as before and int32 targets [n] -> uint8 images and float32 targets [n, `classes`], rows of sum 1."""
        return self._run(images, np.eye(self.classes, dtype=np.float32)[targets], key)

    def each(self, images: np.ndarray, keys: Sequence[tuple[int, ...]]) -> np.ndarray:
        """uint8 [n, H, W, 3] and n keys -> for each image the bits that it alone gives with its key."""
        from keras import ops

        if self.soft:
            raise ValueError("these layers mix images: they have no key each")
        batch = ops.convert_to_tensor(images, "float32")
        with _own_random():
            for number, layer in enumerate(self.layers):
                batch = self._each_by(layer, batch, keys, number)
        return _as_pixels(batch, images.shape)

    def _each_by(self, layer: Any, batch: Any, keys: Sequence[tuple[int, ...]], number: int) -> Any:
        from keras import ops

        together = type(layer).__name__ in TOGETHER
        found = []
        for row, key in enumerate(keys):
            self._seed(key, number)
            one = batch[row : row + 1]
            found.append(layer.get_random_transformation(one, training=True) if together else layer(one, training=True))
        if not together:
            return ops.concatenate(found)
        return layer.transform_images(batch, _joined(found, tuple(batch.shape)), training=True)

    def _run(self, images: np.ndarray, targets: np.ndarray, key: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        from keras import ops

        batch = ops.convert_to_tensor(images, "float32")
        with _own_random():
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
        """Set whatever a layer draws from, by the key and the layer's place."""
        generators = self.generators[number]
        random.seed(repr((*key, number)))
        # 31 bits: some backends keep the state of a generator in a signed 32-bit integer.
        draws = np.random.SeedSequence([*key, number]).generate_state(2 * len(generators)) & 0x7FFFFFFF
        for generator, pair in zip(generators, draws.reshape(-1, 2), strict=True):
            generator.state.assign(pair)


@contextmanager
def _own_random() -> Iterator[None]:
    """Python's own generator gets back the state that it had before the block."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


def _as_pixels(batch: Any, shape: tuple[int, ...]) -> np.ndarray:
    """uint8 of `shape`, whatever size and range the layers have left."""
    from keras import ops

    if tuple(batch.shape[1:3]) != shape[1:3]:
        batch = ops.image.resize(batch, shape[1:3], "bilinear", data_format="channels_last")
    return np.rint(np.clip(ops.convert_to_numpy(batch), 0, 255)).astype(np.uint8)


def _joined(drawn: Sequence[Any], shape: tuple[int, ...]) -> Any:
    """What was drawn for images one by one, as if drawn for a batch of `shape`."""
    from keras import ops

    first = drawn[0]
    if isinstance(first, Mapping):
        parts = {name: _joined([one[name] for one in drawn], shape) for name in first}
        return {**parts, "input_shape": shape} if "input_shape" in first else parts
    return ops.concatenate(drawn) if len(getattr(first, "shape", ())) else first


def _layer(name: str, given: Mapping[str, Any]) -> Any:
    if name in MIXERS:
        return _mixer(name, given)
    import keras

    arguments: dict[str, Any] = {**LAYERS[name], **given, "seed": 0, "data_format": "channels_last"}
    arguments["dtype"] = "float32"  # a global bfloat16 policy keeps only 8 bits of a pixel's place
    modes = ("horizontal", "vertical", "horizontal_and_vertical")
    try:
        if name == "RandomFlip" and given.get("mode", modes[0]) not in modes:  # Keras would flip nothing, silently
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
            "allowed are alpha, a number above 0, and probability, from 0 to 1",
        ) from error


def _generators(layer: Any) -> Iterator[Any]:
    """The seed generators of a layer and of the layers inside it, in a fixed order."""
    import keras

    for part in sorted(vars(layer)):
        value = getattr(layer, part, None)
        if isinstance(value, keras.random.SeedGenerator):
            yield value
        elif isinstance(value, keras.layers.Layer) and not part.startswith("_"):
            yield from _generators(value)
