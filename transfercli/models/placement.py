"""Placement of batches on devices, and collection of what a step returns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
import numpy as np

_on_each_device: ContextVar[bool] = ContextVar("on_each_device", default=False)


def jax_device() -> Any:
    """Return the device that JAX computes on by default."""
    import jax

    return jax.config.jax_default_device or jax.local_devices()[0]


@contextmanager
def on_each_device() -> Iterator[None]:
    """Compute batches on every device instead of sharing them out, for a pass that other processes do not make."""
    token = _on_each_device.set(True)
    try:
        yield
    finally:
        _on_each_device.reset(token)


def placed(batch: np.ndarray) -> Any:
    """Return a whole batch as a step takes it, its rows shared out over all devices if computing is distributed.

    A batch whose rows cannot be shared out evenly is computed on every device.
    """
    distribution = keras.distribution.distribution()
    if distribution is None or _on_each_device.get() or len(batch) % distribution.device_mesh.devices.size:
        return batch
    import jax

    batch = np.asarray(batch)
    sharding = distribution.get_data_layout(batch.shape).backend_layout
    return jax.make_array_from_callback(batch.shape, sharding, lambda index: batch[index])


def gathered(output: Any) -> np.ndarray:
    """Return what a step returned for a placed batch, all rows, on every process."""
    if getattr(output, "is_fully_addressable", True) or output.is_fully_replicated:
        return np.asarray(output)
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(output, tiled=True))
