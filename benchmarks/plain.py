"""Plain Keras reference for benchmarks: a frozen base on preprocessed arrays in memory; not a script itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import safetensors.numpy

from benchmarks import workbench
from transfercli.models.bases import BASES
from transfercli.models.preprocessing import preprocess

BATCH = 32


class PlainKeras:
    """Pooled base with the weights of a file, preprocessed images float32 [N, H, W, 3], and class indices int [N]."""

    def __init__(self, base: str, weights: Path, folder: Path) -> None:
        pixels, self.targets = workbench.read_images(folder)
        network = BASES[base].build(pixels.shape[1:])
        tensors = safetensors.numpy.load_file(weights)
        for layer in network.layers:
            for variable in layer.weights:
                variable.assign(tensors[f"base/{layer.name}/{variable.name}"])
        self.network = keras.Model(network.input, keras.layers.GlobalAveragePooling2D()(network.output))
        self.pixels = np.concatenate([_preprocessed(base, part) for part in np.array_split(pixels, 10)])

    def pass_seconds(self) -> float:
        """Return the seconds of `predict` of the base on all images, without compilation."""
        self.network.predict(self.pixels[:BATCH], batch_size=BATCH, verbose=0)
        return seconds(lambda: self.network.predict(self.pixels, batch_size=BATCH, verbose=0))

    def epoch_seconds(self, hidden: int, validation: float = 0.15) -> float:
        """Return the seconds of an epoch as most scripts train: the frozen base inside `fit`, without compilation."""
        self.network.trainable = False
        layers = keras.layers.Dense(hidden, activation="relu"), keras.layers.Dense(workbench.CLASSES)
        model = keras.Sequential([keras.Input(self.pixels.shape[1:]), self.network, *layers])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
        batch = self.pixels[:BATCH], self.targets[:BATCH]
        model.fit(*batch, batch_size=BATCH, validation_data=batch, verbose=0)  # compiles
        order = np.random.default_rng(0).permutation(len(self.pixels))
        held_out, train = np.split(order, [round(validation * len(order))])
        data: dict[str, Any] = {"x": self.pixels[train], "y": self.targets[train]}
        data["validation_data"] = self.pixels[held_out], self.targets[held_out]
        return seconds(lambda: model.fit(**data, batch_size=BATCH, verbose=0))


def _preprocessed(base: str, pixels: np.ndarray) -> np.ndarray:
    return np.asarray(preprocess(keras.ops.convert_to_tensor(pixels), BASES[base].preprocessing, 3))


def seconds(call: Callable[[], Any]) -> float:
    """Return the wall-clock seconds of a call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
