"""Set up Keras's backend before the first tensor: threads, determinism, seeds."""

from __future__ import annotations

import gc
import logging
import os
import re
import sys
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transfercli.config.schema import ComputeConfig
from transfercli.io.cores import usable_cores

if TYPE_CHECKING:
    from transfercli.data.batching.batches import Batches


def prepare(compute: ComputeConfig, seed: int) -> str:
    """Configure the process for one training or evaluation and return the backend's name.

    Called once, before a model is built; a second call in the same process changes the seed only.
    """
    if "keras" in sys.modules:
        gc.collect()  # models are cycles: those of an earlier training hold its images open until they are found
    if compute.threads:
        os.environ.setdefault("OMP_NUM_THREADS", str(compute.threads))
    with chatter_hidden() if "keras" not in sys.modules else nullcontext():
        import keras

    name = str(keras.backend.backend())
    if name == "tensorflow":
        _prepare_tensorflow(compute)
    keras.utils.set_random_seed(seed)
    return name


def _prepare_tensorflow(compute: ComputeConfig) -> None:
    import tensorflow as tf

    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of retracing, which phases do on purpose
    if compute.threads:
        with suppress(RuntimeError):  # the runtime is up already, with the threads of this process's first training
            tf.config.threading.set_intra_op_parallelism_threads(compute.threads)
    if compute.deterministic:
        tf.config.experimental.enable_op_determinism()


def computing_threads(compute: ComputeConfig) -> int:
    """How many threads a step computes with: sums are split over them, so their bits follow from it."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if set_already := tf.config.threading.get_intra_op_parallelism_threads():
            return int(set_already)
    return compute.threads or usable_cores()


def accelerators() -> list[str]:
    """The names of what computes besides the processor."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return [str(device.device_kind) for device in jax.devices() if device.platform != "cpu"]
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    return [str(tf.config.experimental.get_device_details(one).get("device_name", "GPU")) for one in found]


def pipeline(batches: Batches) -> Any:
    """What `fit` reads batches from, made once for all epochs; each reads them anew, in the order they then have.

    The caller holds `batches` for as long as it reads. Where `fit` is given a PyDataset, TensorFlow traces a pipeline
    for it in every call, longer than it trains a head for.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    like = [np.asarray(part) for part in batches[0]]
    served = weakref.ref(batches)  # TensorFlow never lets go of what it has been given to call

    def serve(number: Any) -> Any:
        return served()[number]  # type: ignore[index]

    def read(number: Any) -> tuple[Any, ...]:
        parts = tf.numpy_function(serve, [number], [one.dtype for one in like])
        return tuple(tf.ensure_shape(part, (None, *one.shape[1:])) for part, one in zip(parts, like, strict=True))

    return tf.data.Dataset.range(len(batches)).map(read).prefetch(1)


def step_precision(compute: ComputeConfig) -> str:
    """`float32` or `bfloat16` for training steps.

    auto is float32: on the processors measured (AVX-512 BF16, VGG16 at 32 and small_cnn) whole steps in bfloat16 were
    no faster, because only the forward convolutions gain.
    """
    return "bfloat16" if compute.precision == "bfloat16" else "float32"


def feature_precision(compute: ComputeConfig) -> str:
    """`float32` or `bfloat16` for what is computed once and kept; auto is bfloat16 where the processor has it."""
    if compute.precision != "auto":
        return compute.precision
    return "bfloat16" if native_bfloat16() else "float32"


def native_bfloat16() -> bool:
    """Whether convolutions in bfloat16 are faster here: TensorFlow on a processor with AVX-512 BF16 or AMX.

    XLA on a processor, which is what JAX has, converts back and forth instead.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return bool(re.search(r"\b(avx512_bf16|amx_bf16)\b", flags))


_CHATTER = re.compile(
    rb"^([IW]0000 |WARNING: All log messages before absl|INFO: Created TensorFlow Lite|fully_quantize:|\s*$)"
)


@contextmanager
def chatter_hidden() -> Iterator[None]:
    """TensorFlow greets on file descriptor 2 before its log level is heard; all other lines come through."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            for line in caught:
                if not _CHATTER.match(line):
                    os.write(2, line)
