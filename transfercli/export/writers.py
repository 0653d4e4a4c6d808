"""One writer a format. Heavy imports stand inside, so that the table can be read without them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from transfercli.errors import UsageError
from transfercli.export.spec import ExportSpec


def write_keras(predictor: Any, spec: ExportSpec, path: Path) -> None:
    """Keras' own archive; built-in layers only, so that plain Keras loads it in safe mode."""
    predictor.save(path)


def write_saved_model(predictor: Any, spec: ExportSpec, path: Path) -> None:
    """A SavedModel with the signatures `serve`, `serve_bytes` and, as TensorFlow Serving asks, `serving_default`.

    serve: uint8 [N, H, W, 3]; serve_bytes: string [N], each a JPEG, PNG, GIF or BMP of any size. Both return
    `probabilities`, float32 [N, C], and `labels`, string [C].
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UsageError(
            f"saved_model is written by TensorFlow, and Keras runs on {keras.backend.backend()} here",
            "run export again with KERAS_BACKEND=tensorflow: a run's weights do not depend on the backend",
        )
    import tensorflow as tf

    from transfercli.export.encoded import decode_batch

    labels = tf.constant([label.encode("utf-8", "surrogateescape") for label in spec.labels], dtype=tf.string)

    def serve(images: Any) -> dict[str, Any]:
        return {"probabilities": predictor(images, training=False), "labels": tf.identity(labels)}

    def serve_bytes(encoded: Any) -> dict[str, Any]:
        return serve(decode_batch(encoded, spec))

    # `archive.track(predictor)` would store every weight a second time; the endpoints bring the variables they use.
    archive = keras.export.ExportArchive()
    archive.add_endpoint("serve", serve, [tf.TensorSpec((None, *spec.image_size, 3), tf.uint8, name="images")])
    archive.add_endpoint("serve_bytes", serve_bytes, [tf.TensorSpec((None,), tf.string, name="encoded")])
    # Debug information is where TensorFlow keeps the paths of the Python files that built the graph.
    archive.write_out(os.fspath(path), options=tf.saved_model.SaveOptions(save_debug_info=False), verbose=False)
