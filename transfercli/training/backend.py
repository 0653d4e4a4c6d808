"""Set up Keras's backend before the first tensor: threads, determinism, seeds."""

from __future__ import annotations

import os

from transfercli.config.schema import ComputeConfig


def prepare(compute: ComputeConfig, seed: int) -> str:
    """Configure the process for one training or evaluation and return the backend's name.

    Called once, before a model is built; a second call in the same process changes the seed only.
    """
    if compute.threads:
        os.environ.setdefault("OMP_NUM_THREADS", str(compute.threads))
    import keras

    name = str(keras.backend.backend())
    if name == "tensorflow":
        _prepare_tensorflow(compute)
    keras.utils.set_random_seed(seed)
    return name


def _prepare_tensorflow(compute: ComputeConfig) -> None:
    import tensorflow as tf

    if compute.threads:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(compute.threads)
        except RuntimeError:
            pass  # the runtime is up already, with the threads of the first training in this process
    if compute.deterministic:
        tf.config.experimental.enable_op_determinism()


def step_precision(compute: ComputeConfig) -> str:
    """`float32` or `bfloat16` for training steps.

    auto is float32: on the processors measured (AVX-512 BF16, VGG16 at 32 and small_cnn) whole steps in bfloat16 were
    no faster, because only the forward convolutions gain.
    """
    return "bfloat16" if compute.precision == "bfloat16" else "float32"
