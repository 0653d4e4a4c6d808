"""Writers of the SavedModel and Keras formats. Heavy imports are inside functions, so that importing this is fast."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
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
    """Write a SavedModel with the signatures `serve`, `serve_bytes`, `probabilities` and `probabilities_bytes`.

    serve: uint8 [N, H, W, 3]; serve_bytes: string [N], each a JPEG, PNG, GIF, BMP or WebP. Both return
    `probabilities`, float32 [N, C], `labels`, string [C], `unknown`, float32 [N], if there is a score, and
    `thresholds`, float32 [C], if an image may have several labels. The other two return `probabilities` alone, because
    TensorFlow Serving gathers requests into batches only if each output has one row an image; of a number per image
    they are `value` and `value_bytes`. `serving_default`, for requests that name no signature, is `serve`. The folder
    `1` holds the same files again, as TensorFlow Serving requires a folder for each version.
    """
    import keras
    import tensorflow as tf

    images = tf.TensorSpec((None, *job.spec.image_size, 3), tf.uint8, name="images")
    encoded = tf.TensorSpec((None,), tf.string, name="encoded")
    # `archive.track(predictor)` would store every weight twice; the endpoints already track the variables they use.
    archive = keras.export.ExportArchive()
    for name, endpoint in _endpoints(job, images, encoded).items():  # the first is `serving_default`, too
        archive.add_endpoint(name, endpoint, [encoded if name.endswith("_bytes") else images])
    # Debug information would contain the paths of the Python files that built the graph.
    archive.write_out(os.fspath(job.path), options=tf.saved_model.SaveOptions(save_debug_info=False), verbose=False)
    (job.path / EXTRA).mkdir()
    (job.path / EXTRA / CARD_FILE).write_text(card_text(job.spec), encoding="utf-8")
    _link_version_folder(job.path)


def _endpoints(job: WriteJob, images: Any, encoded: Any) -> dict[str, Callable[[Any], dict[str, Any]]]:
    """Return signature -> function; they share one graph of the network and one of the decoder."""
    import tensorflow as tf

    from transfercli.export.tf_graph.decode_images import decode_batch
    from transfercli.export.tf_graph.traced import THRESHOLDS, named_outputs, output_names

    predictor, spec = job.predictor, job.spec
    constants = {
        "labels": tf.constant([label.encode("utf-8", "surrogateescape") for label in spec.labels], dtype=tf.string)
    }
    if spec.thresholds is not None:
        constants[THRESHOLDS] = tf.constant(spec.thresholds, dtype=tf.float32)
    answers = output_names(predictor)[0]
    network = tf.function(lambda pixels: named_outputs(predictor, pixels), input_signature=[images], autograph=False)
    decode = tf.function(lambda files: decode_batch(files, spec), input_signature=[encoded])

    def serve(images: Any) -> dict[str, Any]:
        return {**network(images), **{name: tf.identity(value) for name, value in constants.items()}}

    def alone(images: Any) -> dict[str, Any]:
        return {answers: network(images)[answers]}

    return {
        "serve": serve,
        "serve_bytes": lambda encoded: serve(decode(encoded)),
        answers: alone,
        f"{answers}_bytes": lambda encoded: alone(decode(encoded)),
    }


def _link_version_folder(folder: Path) -> None:
    """Create `folder/1` with all files of the folder."""
    for file in [path for path in folder.rglob("*") if path.is_file()]:
        link_file(file, folder / VERSION / file.relative_to(folder))


def link_file(file: Path, link: Path) -> None:
    """Make a hard link to a file, or a copy if the disk has no hard links, and the folders above it."""
    link.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, link)
    except OSError:
        shutil.copyfile(file, link)
