"""What the bits of a result follow from, besides config, data, weights and seed; nothing that names a machine."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import transfercli

RECORDED_PACKAGES = (
    *("keras", "tensorflow", "jax", "numpy", "scipy", "pillow", "scikit-learn", "safetensors", "pydantic"),
)
# Instructions that numeric libraries choose their kernels by.
FEATURES = re.compile(r"sse4_[12]|avx\w*|fma|f16c|amx\w*|neon|asimd\w*|sve\w*|bf16|i8mm")
# Variables that change what is computed, or in how many parts.
SETTINGS = (
    *("KERAS_BACKEND", "TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "TF_XLA_FLAGS", "XLA_FLAGS"),
    *("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
)
COUNTED_ONLY = frozenset({"cores"})  # told, but of no consequence beside `threads`


def versions() -> dict[str, str]:
    found = {"transfercli": transfercli.__version__, "python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    if "tensorflow" not in found:
        with suppress(PackageNotFoundError):
            found["tensorflow"] = version("tensorflow-cpu")  # the same code, built without CUDA
    return found


def machine(threads: int, devices: list[str]) -> dict[str, Any]:
    """threads: that a step computes with; devices: names of accelerators."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": threads,
        "features": processor_features(),
        "devices": devices,
        "settings": {name: _setting(os.environ[name]) for name in SETTINGS if name in os.environ},
    }


def _setting(value: str) -> str:
    """A path among flags tells of the machine and changes no bit."""
    return re.sub(r"/[^\s,]*", "…", value)


def processor_features() -> list[str]:
    """By the kernel's names; empty where the system does not tell."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", told, re.MULTILINE)
    return sorted({word for word in line.group(1).split() if FEATURES.fullmatch(word)}) if line else []


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is not as it was, in words; what was not recorded then is not compared."""
    found = []
    for name in before.keys() & now.keys() - COUNTED_ONLY:
        then, new = before[name], now[name]
        if then == new:
            continue
        if isinstance(then, Mapping) and isinstance(new, Mapping):
            nothing = dict.fromkeys(then.keys() | new.keys())
            found += differences({**nothing, **then}, {**nothing, **new})
        elif isinstance(then, list) and isinstance(new, list):
            lost, gained = sorted(set(then) - set(new)), sorted(set(new) - set(then))
            found.append(
                f"{name}{' without ' * bool(lost)}{', '.join(lost)}{' with ' * bool(gained)}{', '.join(gained)}"
            )
        else:
            found.append(f"{name} {new} instead of {then}")
    return sorted(found)
