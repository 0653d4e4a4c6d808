"""Readers of the SavedModel and Keras formats, which use the format's own runtime only.

A SavedModel contains a graph that TensorFlow executes, a `.keras` file a config from which Keras builds objects:
`saved_model_check.py` checks both before they are loaded.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.export.formats.embedded_spec import read_attached_spec
from transfercli.export.formats.keras_writer import EXTRA
from transfercli.export.formats.outputs import with_score
from transfercli.export.formats.saved_model_check import check_keras_file, check_saved_model
from transfercli.export.spec import CARD_FILE, ExportSpec, parse_card
from transfercli.training.keras_import import import_keras

Tensors = Callable[[np.ndarray], np.ndarray]
Encoded = Callable[[list[bytes]], np.ndarray]


@dataclass(frozen=True, slots=True)
class Artefact:
    """A loaded artefact.

    from_tensors: uint8 [N, H, W, 3] -> float32 [N, C], the probabilities, or [N, C + 1] with the out-of-distribution
    score if the artefact gives one. from_encoded: the same for N encoded images, or None if the format takes tensors
    only. labels: class names, or None if the artefact has none. spec: of its card, or None if
    it has no card. output_thresholds: those that the artefact itself returns, or None if it returns none.
    """

    from_tensors: Tensors
    from_encoded: Encoded | None = None
    labels: tuple[str, ...] | None = None
    spec: ExportSpec | None = None
    output_thresholds: tuple[float, ...] | None = None

    @property
    def thresholds(self) -> tuple[float, ...] | None:
        """Threshold of each label: returned by the artefact, or of its card; None if an image has exactly one label."""
        if self.output_thresholds is not None:
            return self.output_thresholds
        return self.spec.thresholds if self.spec else None


def read_saved_model(path: Path) -> Artefact:
    """Load a SavedModel with TensorFlow, after a check of its operations."""
    import tensorflow as tf

    check_saved_model(path)
    loaded = tf.saved_model.load(os.fspath(path))  # noqa: TID251 (the only call)
    # Signatures are called through `loaded`, which owns the variables: a signature alone does not keep them alive.
    height, width = loaded.signatures["serve"].structured_input_signature[1]["images"].shape[1:3]
    outputs = loaded.signatures["serve"](images=tf.zeros((1, height, width, 3), tf.uint8))
    labels = tuple(label.decode("utf-8", "surrogateescape") for label in outputs["labels"].numpy())
    thresholds = tuple(outputs["thresholds"].numpy().tolist()) if "thresholds" in outputs else None

    def from_tensors(images: np.ndarray) -> np.ndarray:
        return _table(loaded.signatures["serve"](images=tf.constant(images)))

    def from_encoded(encoded: list[bytes]) -> np.ndarray:
        return _table(loaded.signatures["serve_bytes"](encoded=tf.constant(encoded, tf.string)))

    card = path / EXTRA / CARD_FILE
    spec = parse_card(card.read_bytes()) if card.is_file() else None
    return Artefact(from_tensors, from_encoded, labels, spec, thresholds)


def _table(outputs: dict[str, Any]) -> np.ndarray:
    return with_score([outputs[name].numpy() for name in ("probabilities", "value", "unknown") if name in outputs])


def read_keras(path: Path) -> Artefact:
    """Load a `.keras` file with Keras in safe mode, after a check of its config."""
    keras = import_keras()
    check_keras_file(path)
    model = keras.saving.load_model(path, compile=False, safe_mode=True)

    def from_tensors(images: np.ndarray) -> np.ndarray:
        return model.predict_on_batch(images)

    spec = read_attached_spec(path)
    return Artefact(from_tensors, labels=spec.labels if spec else None, spec=spec)
