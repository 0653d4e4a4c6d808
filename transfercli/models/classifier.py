"""A classifier: raw pixels -> preprocessing -> base -> head -> logits, and what is frozen in it."""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers, ops

from transfercli.config.schema import HeadConfig
from transfercli.errors import ConfigError
from transfercli.models.architecture import Architecture
from transfercli.models.bases import BASES, stages_of
from transfercli.models.batchnorm_folding import fold
from transfercli.models.preprocessing import preprocess


@dataclass(frozen=True)
class Classifier:
    """Three views of one set of variables.

    model: uint8 or float pixels [N, H, W, 3], 0 to 255 -> float32 logits [N, C], or [N, 1] for a sigmoid head.
    base: the network without its top, and head: the layers on it; both share their variables with `model`.
    predictor: the same pixels -> float32 probabilities [N, C], calibrated where a temperature is known.
    """

    name: str
    model: keras.Model
    base: keras.Model
    head: keras.Model
    predictor: keras.Model
    labels: tuple[str, ...]

    @property
    def stages(self) -> dict[str, list[str]]:
        """Stage name -> names of its base layers, from the input to the top."""
        return stages_of(BASES[self.name], [layer.name for layer in self.base.layers])


def build_base(name: str, image_size: tuple[int, int], channels: int, weights: str | None = None) -> keras.Model:
    """The network of a row of `BASES`; `ConfigError` where the images are too small for it."""
    row = BASES[name]
    if min(image_size) < row.minimum:
        raise ConfigError(
            f"data.image_size: {list(image_size)} is too small for {name}:"
            f" it needs at least {row.minimum} pixels a side",
            f"set data.image_size to {row.minimum} or more, or choose another model.base",
        )
    try:
        return row.build((*image_size, channels), weights)
    except ValueError as error:
        if channels == 3 or weights:
            raise
        raise ConfigError(f"data.channels: 1 does not work with {name}: {error}", "set data.channels to 3") from error


def build_classifier(
    architecture: Architecture, base: keras.Model | None = None, temperature: float = 1.0
) -> Classifier:
    """Build the model with random weights, or on a `base` that is already there.

    temperature: divides the logits in the predictor, and so in everything that is exported; `model` gives them as they
    are.

    Unless BatchNorm is to learn, the base is called as at inference, also while it trains: its statistics stay still
    even where its other weights move. (`base(x, training=False)` in a functional graph does not do that: `fit` hands
    its own `training=True` to every node. Where BatchNorm may learn, Keras keeps a frozen layer's statistics still.)
    """
    base = base or build_base(architecture.base, architecture.image_size, architecture.channels)
    image = keras.Input((*architecture.image_size, 3), dtype="uint8", name="image")
    pixels = preprocess(image, BASES[architecture.base].preprocessing, architecture.channels)
    head = build_head(architecture.head, base.output.shape[1:], len(architecture.labels))
    trained = base if architecture.batchnorm_trains else fold(base)
    model = keras.Model(image, head(trained(pixels)), name="classifier")
    predictor = keras.Model(image, probabilities_of(_cooled(head(base(pixels)), temperature)), name="predictor")
    return Classifier(architecture.base, model, base, head, predictor, architecture.labels)


def build_head(config: HeadConfig, feature_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Feature map [N, h, w, d] -> logits [N, `classes`], or [N, 1] for one sigmoid unit."""
    if config.output == "sigmoid" and classes != 2:
        raise ConfigError(
            f"model.head.output: sigmoid is one unit for two classes, and the data has {classes}",
            "set model.head.output to softmax",
        )
    features = layers.Input(feature_shape, name="features")
    x = POOLING[config.pooling](name="pool")(features)
    for number, units in enumerate(config.hidden, start=1):
        x = layers.Dense(units, activation="relu", name=f"hidden{number}")(x)
    if config.dropout:
        x = layers.Dropout(config.dropout, name="dropout")(x)
    units = 1 if config.output == "sigmoid" else classes
    return keras.Model(features, layers.Dense(units, dtype="float32", name="logits")(x), name="head")


POOLING = {
    "avg": layers.GlobalAveragePooling2D,
    "max": layers.GlobalMaxPooling2D,
    "flatten": layers.Flatten,
}


def _cooled(logits: keras.KerasTensor, temperature: float) -> keras.KerasTensor:
    """Logits divided by a temperature."""
    if temperature == 1:
        return logits
    return layers.Rescaling(1 / temperature, dtype="float32", name="temperature")(logits)


def probabilities_of(logits: keras.KerasTensor) -> keras.KerasTensor:
    """Logits [N, C], or [N, 1] of a sigmoid head, to float32 probabilities [N, C]."""
    if logits.shape[-1] != 1:
        return layers.Softmax(dtype="float32", name="probabilities")(logits)
    return layers.Concatenate(dtype="float32", name="probabilities")([ops.sigmoid(-logits), ops.sigmoid(logits)])
