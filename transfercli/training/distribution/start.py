"""Start of a training on several devices: this process joins the others, and Keras shares batches over all devices.

JAX alone can: `keras.distribution` lays the rows of a batch over a mesh of devices, and the compiled step is one
program on all of them, whose BatchNorm and dropout see the whole batch.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from transfercli.errors import ConfigError
from transfercli.training.distribution.joining import join
from transfercli.training.distribution.processes import Processes, processes, set_processes
from transfercli.training.distribution.watch import current_watch
from transfercli.training.keras_import import backend_name

if TYPE_CHECKING:
    from transfercli.config.schema import ComputeConfig

DATA_PARALLEL = "data_parallel"


def check_distribution(compute: ComputeConfig) -> None:
    """Raise `ConfigError` if the config shares batches over devices and Keras's backend cannot."""
    backend = backend_name()
    if compute.distribution == DATA_PARALLEL and backend != "jax":
        raise ConfigError(
            f"compute.distribution: data_parallel needs Keras on JAX, but its backend is {backend}",
            "set KERAS_BACKEND=jax (pip install 'transfercli[jax]', or [jax-cuda] for GPUs), or distribution: none",
        )
    if compute.distribution == DATA_PARALLEL and ":" in compute.device:
        raise ConfigError(
            f"compute.device: {compute.device} is one device, but compute.distribution: data_parallel uses all",
            "set compute.device to gpu, or choose devices with CUDA_VISIBLE_DEVICES",
        )


def start(compute: ComputeConfig) -> None:
    """Join the processes that were launched together, and share batches over all their devices.

    Nothing is done unless the config asks for it, or if it was done already. To be called before JAX's first
    computation, as the backend cannot be joined later. Raises `PeerLostError` if JAX cannot connect the processes.
    """
    import keras

    check_distribution(compute)
    if compute.distribution != DATA_PARALLEL or keras.distribution.distribution() is not None:
        return
    if (watch := current_watch()) is not None:
        join(watch)
    import jax

    if watch is not None:
        _connect()
    set_processes(Processes(jax.process_index(), jax.process_count(), jax.device_count()))
    if jax.device_count() > 1:
        devices = keras.distribution.list_devices()
        distribution = keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)
        keras.distribution.set_distribution(distribution)


def _connect() -> None:
    """Connect the devices of all processes, without the line that Gloo, which does so on processors, prints on stdout.

    It would stand before a result in JSON.
    """
    from jax.experimental import multihost_utils

    stdout = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        multihost_utils.sync_global_devices("transfercli")
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
        os.close(nowhere)


def check_batch_size(batch_size: int) -> None:
    """Raise `ConfigError` if batches of `batch_size` rows cannot be shared out evenly over the devices."""
    devices = processes().devices
    if batch_size % devices == 0:
        return
    lower, upper = batch_size // devices * devices, -(-batch_size // devices) * devices
    nearest = f"{lower} or {upper}" if lower else f"{upper}"
    raise ConfigError(
        f"data.batch_size: {batch_size} rows cannot be shared out evenly over {devices} devices",
        f"set data.batch_size to {nearest}: it counts the rows of all devices together",
    )


def own_rows(count: int, distribution: Any) -> slice:
    """Return the rows of a batch of `count` that this process computes: those of its devices in the mesh.

    distribution: of Keras.
    """
    sharding = distribution.get_data_layout((count,)).backend_layout
    parts = [index[0] for index in sharding.addressable_devices_indices_map((count,)).values()]
    bounds = np.array([part.indices(count)[:2] for part in parts])
    rows = slice(int(bounds[:, 0].min()), int(bounds[:, 1].max()))
    assert rows.stop - rows.start == (bounds[:, 1] - bounds[:, 0]).sum(), "the devices of a process are neighbours"
    return rows
