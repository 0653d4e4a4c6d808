"""Number of images in a batch of a forward pass, by the memory of the device."""

from __future__ import annotations

import math
from functools import cache

import keras
import numpy as np

from transfercli.models.keras_internals import graph_nodes, inner_layers
from transfercli.models.placement import jax_device

BATCH = 32  # images of a batch on a processor: more are no faster there
MOST = 1024
SHARE = 0.5  # of the device's memory, for the activations of a batch; the rest is for weights, inputs and results


def batch_size(model: keras.Model, precision: str = "float32") -> int:
    """Return the number of images of a batch: on an accelerator, the power of two whose activations fit.

    It depends on the model and the device alone, so an image's output is the same whatever the other images are.
    precision: of the activations, "float32" or "bfloat16".
    """
    memory = accelerator_memory()
    if memory is None:
        return BATCH
    fitting = int(SHARE * memory / activation_bytes(model, precision))
    return min(MOST, 1 << (max(1, fitting).bit_length() - 1))


def forward_batch_size(model: keras.Model, wanted: int) -> int:
    """Return the size of batches of a whole model: `wanted`, and on an accelerator no fewer than fit."""
    return wanted if accelerator_memory() is None else max(wanted, batch_size(model))


def activation_bytes(model: keras.Model, precision: str = "float32") -> int:
    """Return the bytes of all outputs of a model's layers for one image; few of them are in memory at once."""
    models = [model, *(layer for layer in inner_layers(model) if isinstance(layer, keras.Function))]
    tensors = {id(tensor): tensor for one in models for node in graph_nodes(one) for tensor in node.outputs}
    values = sum(math.prod(size or 1 for size in tensor.shape[1:]) for tensor in tensors.values())
    return int(max(1, values) * (2 if precision == "bfloat16" else 4))


def accelerator_memory() -> int | None:
    """Return the bytes that this process may use on the first accelerator, or None on a processor.

    Of several processes that train together, it is the least of all, as their batches must have one size.
    """
    return _jax_memory() if keras.backend.backend() == "jax" else _tensorflow_memory()


@cache
def _jax_memory() -> int | None:
    import jax

    device = jax_device()
    if device.platform == "cpu":
        return None
    limit = (device.memory_stats() or {}).get("bytes_limit")
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        limit = multihost_utils.process_allgather(np.float32(limit or 0)).min()  # JAX has no integers of 64 bits
    return int(limit) if limit else None


@cache
def _tensorflow_memory() -> int | None:
    import tensorflow as tf

    if not tf.config.list_logical_devices("GPU"):
        return None
    from tensorflow.python.client import device_lib

    return next((int(one.memory_limit) for one in device_lib.list_local_devices() if one.device_type == "GPU"), None)
