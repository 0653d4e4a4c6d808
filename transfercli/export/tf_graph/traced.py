"""The predictor as a TensorFlow function with named input and output, from which ONNX, LiteRT and OpenVINO convert."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

IMAGES, PROBABILITIES, UNKNOWN, THRESHOLDS = "images", "probabilities", "unknown", "thresholds"
VALUE = "value"  # in place of the probabilities, of a predictor whose answer is a number


def as_tf_function(predictor: Any) -> Any:
    """Return a `tf.function`: images [N, H, W, 3] of the predictor's input dtype -> the values of `named_outputs`."""
    import tensorflow as tf

    return tf.function(_call(predictor), input_signature=[signature(predictor)])


def signature(predictor: Any) -> Any:
    """Return the `tf.TensorSpec` of the predictor's input, with a free batch size."""
    import tensorflow as tf

    return tf.TensorSpec((None, *predictor.input.shape[1:]), predictor.input.dtype, name=IMAGES)


def write_bare_saved_model(predictor: Any, folder: Path) -> str:
    """Write a SavedModel with one endpoint for a converter to read, and return its path."""
    import keras

    archive = keras.export.ExportArchive()
    archive.add_endpoint("serve", _call(predictor), [signature(predictor)])
    archive.write_out(os.fspath(folder), verbose=False)
    return os.fspath(folder)


def _call(predictor: Any) -> Any:
    def serve(images: Any) -> dict[str, Any]:
        return named_outputs(predictor, images)

    return serve


def output_names(predictor: Any) -> tuple[str, str]:
    """Return the name of the answers of a predictor, and that of its out-of-distribution score."""
    return VALUE if VALUE in predictor.output_names else PROBABILITIES, UNKNOWN


def named_outputs(predictor: Any, images: Any) -> dict[str, Any]:
    """Return {"probabilities": [N, C]}, or {"value": [N, 1]}, and "unknown": [N] if there is a score."""
    outputs = predictor(images, training=False)
    return dict(zip(output_names(predictor), outputs if isinstance(outputs, list) else [outputs], strict=False))
