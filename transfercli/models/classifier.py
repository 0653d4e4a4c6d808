"""Classifier: raw pixels -> preprocessing -> base -> head -> logits."""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers, ops

from transfercli.config.schema import HeadConfig
from transfercli.errors import ConfigError
from transfercli.models.architecture import Architecture, without_drop_path
from transfercli.models.base import stages_of
from transfercli.models.bases import BASES
from transfercli.models.batchnorm_folding import fold
from transfercli.models.pooling import pool
from transfercli.models.preprocessing import preprocess


@dataclass(frozen=True)
class Classifier:
    """Models of one classifier that share one set of variables.

    model: uint8 or float pixels [N, H, W, 3], 0 to 255 -> float32 logits [N, C], or [N, 1] for a sigmoid head.
    base: the network without its top; head: the layers on top of it.
    predictor: the same pixels -> float32 probabilities [N, C], calibrated if a temperature is known.
    """

    name: str
    model: keras.Model
    base: keras.Model
    head: keras.Model
    predictor: keras.Model
    labels: tuple[str, ...]

    @property
    def stages(self) -> dict[str, list[str]]:
        """Stage name -> names of its layers in the base, from the input to the top."""
        return stages_of(BASES[self.name], [layer.name for layer in self.base.layers])


def build_base(
    name: str, image_size: tuple[int, int], channels: int, weights: str | None = None, drop_path: float = 0.0
) -> keras.Model:
    """Build the network of a row of `BASES`.

    Raises `ConfigError` if the images are too small, or grey and it needs three channels, or if it has no drop-path.
    """
    row = BASES[name]
    if drop_path and not row.has_drop_path:
        raise ConfigError(*without_drop_path(name, drop_path))
    if min(image_size) < row.minimum:
        raise ConfigError(
            f"data.image_size: {list(image_size)} is too small for {name}:"
            f" it needs at least {row.minimum} pixels a side",
            f"set data.image_size to {row.minimum} or more, or choose another model.base",
        )
    try:
        return row.build((*image_size, channels), weights, drop_path)
    except ValueError as error:
        if channels == 3 or weights:
            raise
        raise ConfigError(f"data.channels: 1 does not work with {name}: {error}", "set data.channels to 3") from error


def build_classifier(
    architecture: Architecture, base: keras.Model | None = None, temperature: float = 1.0
) -> Classifier:
    """Build a classifier with random weights, or on an existing `base`.

    temperature: divides the logits in `predictor`, and so in every export, but not in `model`.

    Unless `batchnorm_trains`, the base runs in inference mode, also while it trains: BatchNorm's statistics stay
    constant even if its other weights change. (`base(x, training=False)` in a functional graph does not achieve that:
    `fit` passes its own `training=True` to every node. With `batchnorm_trains`, Keras keeps the statistics of frozen
    layers constant.)
    """
    size, channels = architecture.image_size, architecture.channels
    base = base or build_base(architecture.base, size, channels, drop_path=architecture.drop_path)
    image = keras.Input((*architecture.image_size, 3), dtype="uint8", name="image")
    pixels = preprocess(image, BASES[architecture.base].preprocessing, architecture.channels)
    prefix_tokens = BASES[architecture.base].prefix_tokens or 0
    head = build_head(architecture.head, base.output.shape[1:], len(architecture.labels), prefix_tokens)
    trained = base if architecture.batchnorm_trains else fold(base)
    model = keras.Model(image, head(trained(pixels)), name="classifier")
    predictor = keras.Model(image, probabilities_of(_divided(head(base(pixels)), temperature)), name="predictor")
    return Classifier(architecture.base, model, base, head, predictor, architecture.labels)


def build_head(config: HeadConfig, feature_shape: tuple[int, ...], classes: int, prefix_tokens: int = 0) -> keras.Model:
    """Build the head: map [N, h, w, d] or tokens [N, T, d] -> logits [N, `classes`], or [N, 1] for one sigmoid unit.

    prefix_tokens: number of tokens before those of the patches.

    Raises `ConfigError` if the output is a sigmoid and there are not two classes, or the pooling does not fit.
    """
    if config.output == "sigmoid" and classes != 2:
        raise ConfigError(
            f"model.head.output: sigmoid is one unit for two classes, and the data has {classes}",
            "set model.head.output to softmax",
        )
    features = layers.Input(feature_shape, name="features")
    x = pool(features, config.pooling or "avg", prefix_tokens)
    for number, units in enumerate(config.hidden, start=1):
        x = layers.Dense(units, activation="relu", name=f"hidden{number}")(x)
    if config.dropout:
        x = layers.Dropout(config.dropout, name="dropout")(x)
    units = 1 if config.output == "sigmoid" else classes
    return keras.Model(features, layers.Dense(units, dtype="float32", name="logits")(x), name="head")


def _divided(logits: keras.KerasTensor, temperature: float) -> keras.KerasTensor:
    """Return the logits divided by a temperature."""
    if temperature == 1:
        return logits
    return layers.Rescaling(1 / temperature, dtype="float32", name="temperature")(logits)


def probabilities_of(logits: keras.KerasTensor) -> keras.KerasTensor:
    """Return float32 probabilities [N, C] of symbolic logits [N, C], or [N, 1] of a sigmoid head."""
    if logits.shape[-1] != 1:
        return layers.Softmax(dtype="float32", name="probabilities")(logits)
    return layers.Concatenate(dtype="float32", name="probabilities")([ops.sigmoid(-logits), ops.sigmoid(logits)])
