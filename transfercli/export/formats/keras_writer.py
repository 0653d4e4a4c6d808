"""Writers of the SavedModel and Keras formats. Heavy imports are inside functions, so that importing this is fast."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from transfercli.export.formats.embedded_spec import attach_spec
from transfercli.export.spec import CARD_FILE, WriteJob, card_text

EXTRA = "assets.extra"  # a folder that TensorFlow ignores, for files of other programs
VERSION = "1"


def write_keras(job: WriteJob) -> None:
    """Write Keras' own archive; it has built-in layers only, so that Keras loads it in safe mode."""
    job.predictor.save(job.path)
    attach_spec(job.path, job.spec)


def write_saved_model(job: WriteJob) -> None:
    """Write a SavedModel with the signatures `serve`, `serve_bytes` and, for TensorFlow Serving, `serving_default`.

    serve: uint8 [N, H, W, 3]; serve_bytes: string [N], each a JPEG, PNG, GIF, BMP or WebP. Both return
    `probabilities`, float32 [N, C], `labels`, string [C], `unknown`, float32 [N], if there is a score, and
    `thresholds`, float32 [C], if an image may have several labels. The folder `1` holds the same files again, as
    TensorFlow Serving requires a folder for each version.
    """
    import keras
    import tensorflow as tf

    from transfercli.export.tf_graph.decode_images import decode_batch
    from transfercli.export.tf_graph.traced import THRESHOLDS, named_outputs

    predictor, spec = job.predictor, job.spec
    constants = {
        "labels": tf.constant([label.encode("utf-8", "surrogateescape") for label in spec.labels], dtype=tf.string)
    }
    if spec.thresholds is not None:
        constants[THRESHOLDS] = tf.constant(spec.thresholds, dtype=tf.float32)

    def serve(images: Any) -> dict[str, Any]:
        return {**named_outputs(predictor, images), **{name: tf.identity(value) for name, value in constants.items()}}

    def serve_bytes(encoded: Any) -> dict[str, Any]:
        return serve(decode_batch(encoded, spec))

    # `archive.track(predictor)` would store every weight twice; the endpoints already track the variables they use.
    archive = keras.export.ExportArchive()
    archive.add_endpoint("serve", serve, [tf.TensorSpec((None, *spec.image_size, 3), tf.uint8, name="images")])
    archive.add_endpoint("serve_bytes", serve_bytes, [tf.TensorSpec((None,), tf.string, name="encoded")])
    # Debug information would contain the paths of the Python files that built the graph.
    archive.write_out(os.fspath(job.path), options=tf.saved_model.SaveOptions(save_debug_info=False), verbose=False)
    (job.path / EXTRA).mkdir()
    (job.path / EXTRA / CARD_FILE).write_text(card_text(spec), encoding="utf-8")
    _link_version_folder(job.path)


def _link_version_folder(folder: Path) -> None:
    """Create `folder/1` with hard links to all files of the folder, or copies if the disk has no hard links."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    for file in files:
        link = folder / VERSION / file.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, link)
        except OSError:
            shutil.copyfile(file, link)
