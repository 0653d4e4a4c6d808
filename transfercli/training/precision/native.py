"""Devices that compute in bfloat16 faster than in float32."""

from __future__ import annotations

import re
from pathlib import Path

from transfercli.config.schema import ComputeConfig

AMPERE = 8  # first major compute capability of NVIDIA GPUs with bfloat16


def feature_precision(compute: ComputeConfig) -> str:
    """Return the precision of cached features, `float32` or `bfloat16`; auto is bfloat16 if it is native here."""
    if compute.precision != "auto":
        return compute.precision
    return "bfloat16" if native_bfloat16() else "float32"


def native_bfloat16() -> bool:
    """Return True if bfloat16 speeds up convolutions on the device of the backend.

    That is a TPU, a GPU (of NVIDIA from Ampere on), or with TensorFlow a processor with AVX-512 BF16 or AMX. JAX gains
    nothing on a processor: XLA converts to float32 and back.
    """
    import keras

    if keras.backend.backend() == "jax":
        from transfercli.models.placement import jax_device

        device = jax_device()
        return device.platform != "cpu" and _has_bfloat16(getattr(device, "compute_capability", None))
    import tensorflow as tf

    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        return _has_bfloat16(tf.config.experimental.get_device_details(gpus[0]).get("compute_capability"))
    return processor_has_bfloat16()


def processor_has_bfloat16() -> bool:
    """Return True if the processor multiplies in bfloat16: AVX-512 BF16 or AMX, on Linux."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return bool(re.search(r"\b(avx512_bf16|amx_bf16)\b", flags))


def _has_bfloat16(capability: str | tuple[int, int] | None) -> bool:
    """Return True for the compute capability of a GPU of NVIDIA with bfloat16, and for any other accelerator.

    capability: "9.0" of JAX, (9, 0) of TensorFlow; of others, a name or None.
    """
    major = str(capability[0] if isinstance(capability, tuple) else capability).partition(".")[0]
    return int(major) >= AMPERE if major.isdecimal() else True
