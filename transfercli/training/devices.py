"""Devices that a backend computes on: the choice of `compute.device`, and the names that a run records.

A process has one device: the first choice holds to its end, because a backend that runs cannot be moved.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from transfercli.errors import ConfigError
from transfercli.reporting import Reporter
from transfercli.training.keras_import import BACKENDS

CPU, GPU = "cpu", "gpu"
CUDA_EXTRAS = {"tensorflow": "gpu", "jax": "jax-cuda"}


def choose_device(device: str, backend: str, reporter: Reporter | None = None) -> None:
    """Make a backend compute on `compute.device`: auto, cpu, gpu, or gpu:N counted from 0.

    reporter: for a run that may have been trained on another machine. A device that is not here is then a warning, and
    the backend chooses as for auto; without a reporter it is a `ConfigError` that names the devices that are here.
    """
    if device == CPU:
        _USE_CPU[backend]()
    if not device.startswith(GPU):
        return
    number, found = int(device.partition(":")[2] or 0), _COUNT_GPUS[backend]()
    if number < found:
        if ":" in device:
            _USE_GPU[backend](number)
        return
    problem = f"is {device}, but {BACKENDS[backend]} found {_in_words(found)}"
    if reporter is None:
        raise ConfigError(f"compute.device {problem}", _hint(found, backend))
    reporter.warning(f"compute.device of the run {problem}: it is computed on {device_name()}")


def _in_words(gpus: int) -> str:
    if not gpus:
        return "no GPU here, only the processor"
    return "one GPU here, gpu:0" if gpus == 1 else f"{gpus} GPUs here, gpu:0 to gpu:{gpus - 1}"


def _hint(gpus: int, backend: str) -> str:
    if gpus:
        return "choose one of these, or gpu, auto or cpu"
    return (
        "set compute.device to auto or cpu; on a machine with a GPU, check its driver and CUDA_VISIBLE_DEVICES, and"
        f" pip install 'transfercli[{CUDA_EXTRAS[backend]}]'"
    )


def accelerators() -> list[str]:
    """Return the names of the accelerators (GPUs, TPUs) that the backend may compute on, in their order."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        chosen = jax.config.jax_default_device
        devices = [chosen] if chosen is not None else jax.devices()
        return [str(device.device_kind) for device in devices if device.platform != CPU]
    import tensorflow as tf

    gpus = tf.config.get_visible_devices(GPU.upper())
    return [str(tf.config.experimental.get_device_details(gpu).get("device_name", GPU.upper())) for gpu in gpus]


def device_name() -> str:
    """Return the device that steps are computed on: `cpu`, or the name of the first accelerator."""
    return next(iter(accelerators()), CPU)


# -- TensorFlow: a device that is hidden before the first computation is never touched


def _count_tensorflow_gpus() -> int:
    import tensorflow as tf

    return len(tf.config.list_physical_devices(GPU.upper()))


def _use_tensorflow_gpus(*numbers: int) -> None:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices(GPU.upper())
    with suppress(RuntimeError):  # it runs already, on the device of the first training in this process
        tf.config.set_visible_devices([gpus[number] for number in numbers], GPU.upper())


# -- JAX: it starts all devices of a platform at once


def _count_jax_gpus() -> int:
    import jax

    with suppress(RuntimeError):  # there is no such platform
        return len(jax.local_devices(backend=GPU))
    return 0


def _use_jax_gpu(number: int) -> None:
    import jax

    if jax.config.jax_default_device is None:
        jax.config.update("jax_default_device", jax.local_devices(backend=GPU)[number])


def _use_jax_on_the_processor() -> None:
    import jax

    jax.config.update("jax_platforms", CPU)  # no effect once JAX runs


_COUNT_GPUS = {"tensorflow": _count_tensorflow_gpus, "jax": _count_jax_gpus}
_USE_GPU: dict[str, Callable[[int], None]] = {"tensorflow": _use_tensorflow_gpus, "jax": _use_jax_gpu}
_USE_CPU: dict[str, Callable[[], None]] = {"tensorflow": _use_tensorflow_gpus, "jax": _use_jax_on_the_processor}
