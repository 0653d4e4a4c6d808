"""Classifier: raw pixels -> preprocessing -> base -> head -> logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
from keras import layers

from transfercli.config.schema import HeadConfig
from transfercli.config.types import Task
from transfercli.errors import ConfigError
from transfercli.models.architecture import Architecture, without_drop_path
from transfercli.models.base import stages_of
from transfercli.models.bases import BASES
from transfercli.models.batchnorm_folding import fold
from transfercli.models.normalised import Normalisation, side_by_side
from transfercli.models.pooling import pool_all
from transfercli.models.preprocessing import preprocess
from transfercli.models.taps import tap_names, trunk_of
from transfercli.models.tasks.calibration import IDENTITY, Calibration
from transfercli.models.tasks.outputs import OUTPUTS


@dataclass(frozen=True)
class Average:
    """Networks whose probabilities a classifier averages.

    trunk: the layers of all networks, those that are the same once; its last output is that of the first network.
    preprocessing: of the pixels for the trunk; `included` if the networks need different ones.
    """

    trunk: keras.Model
    preprocessing: str


@dataclass(frozen=True)
class Classifier:
    """Models of one classifier that share one set of variables.

    model: uint8 or float pixels [N, H, W, 3], 0 to 255 -> float32 logits [N, C], or [N, 1] for a sigmoid head.
    base: the network without its top; head: the layers on top of it, which read the outputs of the `trunk`.
    predictor: the same pixels -> float32 probabilities [N, C], calibrated if a calibration is known.
    taps: names of stages or layers of the base that the head reads besides the base's output.
    normalisation: of the pooled vector of each of them, in the head.
    average: of several networks, of which `base` is the first; None for a classifier of one network.
    task: row of `OUTPUTS`: what the logits stand for.
    """

    name: str
    model: keras.Model
    base: keras.Model
    head: keras.Model
    predictor: keras.Model
    labels: tuple[str, ...]
    taps: tuple[str, ...] = ()
    normalisation: Normalisation = "none"
    average: Average | None = None
    task: Task = "classify"

    @property
    def trunk(self) -> keras.Model:
        """The base with all outputs that the head reads: those of its taps, from the input to the top, then its own."""
        return self.average.trunk if self.average else trunk_of(BASES[self.name], self.base, self.taps)

    @property
    def preprocessing(self) -> str:
        """Row of `PREPROCESSING` that turns pixels into what the trunk reads."""
        return self.average.preprocessing if self.average else BASES[self.name].preprocessing

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
    architecture: Architecture, base: keras.Model | None = None, calibration: Calibration = IDENTITY
) -> Classifier:
    """Build a classifier with random weights, or on an existing `base`.

    calibration: of the logits in `predictor`, and so in every export, but not in `model`.

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
    taps = tap_names(BASES[architecture.base], base, architecture.head.taps)
    trunk = trunk_of(BASES[architecture.base], base, taps)
    shapes = [output.shape[1:] for output in trunk.outputs]
    head = build_head(architecture.head, shapes, len(architecture.labels), prefix_tokens, architecture.task)
    how = normalisation_of(architecture.head, len(shapes))
    trained = trunk if architecture.batchnorm_trains else fold(trunk)
    model = keras.Model(image, head(trained(pixels)), name="classifier")
    probabilities_of = OUTPUTS[architecture.task].layer
    predictor = keras.Model(image, probabilities_of(calibration.layer(head(trunk(pixels)))), name="predictor")
    labels = architecture.labels
    return Classifier(architecture.base, model, base, head, predictor, labels, taps, how, task=architecture.task)


def build_head(
    config: HeadConfig,
    shapes: Sequence[tuple[int, ...]],
    classes: int,
    prefix_tokens: int = 0,
    task: Task = "classify",
) -> keras.Model:
    """Build the head: features of the taps and of the base -> logits [N, `classes`], or [N, 1] for one sigmoid unit.

    shapes: of a map [h, w, d], or of tokens [T, d], for each tap and last for the base's output.
    prefix_tokens: number of tokens before those of the patches.

    Raises `ConfigError` if the output is a sigmoid and there are not two classes, or the pooling does not fit.
    """
    if task == "classify" and config.output == "sigmoid" and classes != 2:
        raise ConfigError(
            f"model.head.output: sigmoid is one unit for two classes, and the data has {classes}",
            "set model.head.output to softmax; or, if an image may have several labels, task to multilabel",
        )
    inputs, vectors = pool_all(shapes, config.pooling or "avg", prefix_tokens)
    logits = logits_of(vectors, config, classes, task=task)
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], logits, name="head")


def logits_of(
    vectors: Sequence[keras.KerasTensor],
    config: HeadConfig,
    classes: int,
    name_prefix: str = "",
    task: Task = "classify",
) -> keras.KerasTensor:
    """Return logits [N, C], or [N, 1] for one sigmoid unit, of the pooled vectors [N, p] that a head reads.

    name_prefix: of the names of its layers.
    """
    x = side_by_side(vectors, normalisation_of(config, len(vectors)), name_prefix)
    for number, units in enumerate(config.hidden, start=1):
        x = layers.Dense(units, activation="relu", name=f"{name_prefix}hidden{number}")(x)
    if config.dropout:
        x = layers.Dropout(config.dropout, name=f"{name_prefix}dropout")(x)
    row = OUTPUTS[task]
    units = layers.Dense(row.units(classes, config.output), dtype="float32", name=f"{name_prefix}logits")(x)
    return row.logits(units)


def normalisation_of(config: HeadConfig, layers_read: int) -> Normalisation:
    """Return the normalisation of a head that reads so many layers; several of different scales need one."""
    return config.normalisation or ("root" if layers_read > 1 else "none")
