"""Set-up of Keras's backend: threads, determinism, seeds, precision, input pipeline."""

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
from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from transfercli.io.cores import usable_cores
from transfercli.reporting import Reporter
from transfercli.training.devices import CPU, accelerators, choose_device
from transfercli.training.distribution.processes import processes
from transfercli.training.distribution.start import start
from transfercli.training.keras_import import backend_name, import_keras

if TYPE_CHECKING:
    from transfercli.config.schema import ComputeConfig  # at run time it takes long to import
    from transfercli.data.batching.batches import Batches


# Sizes of the thread pools of OpenMP and of XLA on a processor.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "PJRT_NPROC")
# XLA's flag for the same bits in every run on a GPU; it turns the choice of kernels by their measured time off, too.
DETERMINISTIC = "xla_gpu_deterministic_ops"


def prepare(compute: ComputeConfig, seed: int, reporter: Reporter | None = None, *, distributed: bool = False) -> str:
    """Configure Keras's backend for one training or evaluation and return its name.

    To be called before a model is built; a second call in the same process changes only the seed. reporter: for a run
    that may have been trained on another machine, as in `choose_device`. Raises `UsageError` if KERAS_BACKEND cannot be
    used, and `ConfigError` if `compute.device` is not here.

    distributed: share batches over all devices if the config says so, as a training does; raises as `start` does.
    """
    first = "keras" not in sys.modules
    if not first:
        gc.collect()  # models of an earlier training are reference cycles, which keep its image files open
    set_variables(compute)
    with startup_messages_hidden() if first else nullcontext():
        keras = import_keras()
        name = str(keras.backend.backend())
        if name == "tensorflow":
            _prepare_tensorflow(compute)
        if compute.device == CPU:
            choose_device(CPU, name)
        if distributed:
            start(compute)
        choose_device(compute.device, name, reporter)  # to count GPUs starts JAX, which no process can join then
        keras.utils.set_random_seed(seed)
    if first:
        gc.freeze()  # the libraries' objects stay, so that collecting those of a training takes less time
    return name


def set_variables(compute: ComputeConfig) -> None:
    """Set the variables that libraries read when they start, unless the user has set them."""
    if compute.threads:
        for name in THREAD_VARIABLES:
            os.environ.setdefault(name, str(compute.threads))
    if compute.deterministic and backend_name() == "jax" and find_spec("jax_plugins"):
        flags = os.environ.get("XLA_FLAGS", "")
        if DETERMINISTIC not in flags:
            os.environ["XLA_FLAGS"] = f"{flags} --{DETERMINISTIC}=true".strip()


def _prepare_tensorflow(compute: ComputeConfig) -> None:
    import tensorflow as tf

    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of retracing, which every new phase needs
    if compute.threads:
        with suppress(RuntimeError):  # the runtime already runs, with the threads of the first training in this process
            tf.config.threading.set_intra_op_parallelism_threads(compute.threads)
    if compute.deterministic:
        tf.config.experimental.enable_op_determinism()


def computing_threads(compute: ComputeConfig) -> int:
    """Return the number of threads of a step; results depend on it to the bit, as sums are split over threads."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if configured := tf.config.threading.get_intra_op_parallelism_threads():
            return int(configured)
    elif (pool := os.environ.get("PJRT_NPROC", os.environ.get("NPROC", ""))).isdecimal():
        return int(pool)
    return compute.threads or usable_cores()


def input_pipeline(batches: Batches) -> Any:
    """Return the data set that `fit` reads in every epoch; each epoch reads `batches` in their order at that time.

    The next batch is read while a step computes. Call `fit` in the block of `reading`. The caller must keep a reference
    to `batches`. (With a PyDataset, TensorFlow would trace a new pipeline in every call of `fit`, which takes longer
    than an epoch of training a head.)
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        from transfercli.data.batching.reading_ahead import ReadAhead
        from transfercli.training.distribution.batches import own_batches

        own = own_batches(batches)
        # Augmentation in a thread would wait for a processor's devices, which wait in a step for one another.
        return own if processes().devices > 1 and batches.augment else ReadAhead(own, to_device)
    import tensorflow as tf

    examples = [np.asarray(part) for part in batches[0]]
    reference = weakref.ref(batches)  # TensorFlow never releases a Python function that it calls

    def read_batch(index: Any) -> Any:
        return reference()[index]  # type: ignore[index]

    def read(index: Any) -> tuple[Any, ...]:
        parts = tf.numpy_function(read_batch, [index], [example.dtype for example in examples])
        shapes = [(None, *example.shape[1:]) for example in examples]
        return tuple(tf.ensure_shape(part, shape) for part, shape in zip(parts, shapes, strict=True))

    return tf.data.Dataset.range(len(batches)).map(read).prefetch(1)


@contextmanager
def reading(pipeline: Any) -> Iterator[Any]:
    """End the thread that reads an `input_pipeline` ahead at the end of the block, also after an error."""
    try:
        yield pipeline
    finally:
        if hasattr(pipeline, "close"):
            pipeline.close()


def to_device(batch: tuple[Any, ...]) -> Any:
    """Return a batch whose arrays are on their way to the device; with JAX only.

    If computing is distributed, Keras places the rows of each process, and the batch stays as it is.
    """
    import jax

    return batch if processes().devices > 1 else jax.device_put(batch)


def steps_in_flight() -> int:
    """Return the number of steps that may be under way when the loss of an earlier one is read.

    An accelerator would wait for the next step if every loss were read at once. On a processor nothing is gained, and
    a request to stop should not wait for a second step.
    """
    return 2 if accelerators() else 0


_STARTUP_MESSAGES = re.compile(
    rb"^([IW]0000 |WARNING: All log messages before absl|INFO: Created TensorFlow Lite|fully_quantize:|\s*$)"
)


@contextmanager
def startup_messages_hidden() -> Iterator[None]:
    """Hide TensorFlow's start-up messages, written to file descriptor 2 before its log level applies.

    All other lines are written to stderr at the end of the block.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with _capture_file() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            captured.seek(0)
            for line in captured:
                if not _STARTUP_MESSAGES.match(line):
                    with suppress(OSError):  # nobody reads stderr any more
                        os.write(2, line)


def _capture_file() -> IO[bytes]:
    """Return an empty file, in memory if the system can: there may be no temporary folder."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("messages"), "w+b")
    return tempfile.TemporaryFile()
