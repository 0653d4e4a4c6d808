"""The other side of a comparison: a frozen base in plain Keras, from preprocessed arrays in memory."""

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


class Plain:
    """A pooled base with the weights of a file, and preprocessed pictures float32 [N, H, W, 3] with class numbers."""

    def __init__(self, base: str, weights: Path, pictures: Path) -> None:
        pixels, self.targets = workbench.read_pictures(pictures)
        network = BASES[base].build(pixels.shape[1:])
        tensors = safetensors.numpy.load_file(weights)
        for layer in network.layers:
            for variable in layer.weights:
                variable.assign(tensors[f"base/{layer.name}/{variable.name}"])
        self.network = keras.Model(network.input, keras.layers.GlobalAveragePooling2D()(network.output))
        self.pixels = np.concatenate([_preprocessed(base, part) for part in np.array_split(pixels, 10)])

    def one_pass(self) -> float:
        """Seconds of all pictures through the base, which is compiled already."""
        self.network.predict(self.pixels[:BATCH], batch_size=BATCH, verbose=0)
        return seconds(lambda: self.network.predict(self.pixels, batch_size=BATCH, verbose=0))

    def script_epoch(self, hidden: int, validation: float = 0.15) -> float:
        """Seconds of an epoch as most scripts train it: the frozen base inside `fit`, which is compiled already."""
        self.network.trainable = False
        layers = keras.layers.Dense(hidden, activation="relu"), keras.layers.Dense(workbench.CLASSES)
        model = keras.Sequential([keras.Input(self.pixels.shape[1:]), self.network, *layers])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
        few = self.pixels[:BATCH], self.targets[:BATCH]
        model.fit(*few, batch_size=BATCH, validation_data=few, verbose=0)
        order = np.random.default_rng(0).permutation(len(self.pixels))
        held, rest = np.split(order, [round(validation * len(order))])
        sides: dict[str, Any] = {"x": self.pixels[rest], "y": self.targets[rest]}
        sides["validation_data"] = self.pixels[held], self.targets[held]
        return seconds(lambda: model.fit(**sides, batch_size=BATCH, verbose=0))


def _preprocessed(base: str, pixels: np.ndarray) -> np.ndarray:
    return np.asarray(preprocess(keras.ops.convert_to_tensor(pixels), BASES[base].preprocessing, 3))


def seconds(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
