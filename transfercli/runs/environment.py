"""Environment of a run: package versions and machine properties that affect the bits of a result; no machine names."""

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
    *("keras", "tensorflow", "jax", "numpy", "scipy", "pillow", "pillow-heif", "scikit-learn", "safetensors"),
    "pydantic",
)
# Instruction sets by which numeric libraries choose their kernels.
INSTRUCTION_SETS = re.compile(r"sse4_[12]|avx\w*|fma|f16c|amx\w*|neon|asimd\w*|sve\w*|bf16|i8mm")
# Environment variables that change the computation or the number of its threads.
RECORDED_VARIABLES = (
    *("KERAS_BACKEND", "TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "TF_XLA_FLAGS", "XLA_FLAGS"),
    *("TF_ENABLE_AUTO_MIXED_PRECISION", "NVIDIA_TF32_OVERRIDE", "JAX_ENABLE_X64", "JAX_DEFAULT_MATMUL_PRECISION"),
    *("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
)
NOT_COMPARED = frozenset({"cores"})  # results depend on `threads` instead


def versions() -> dict[str, str]:
    """Return the versions of this program, of Python and of the installed numeric packages."""
    installed = {"transfercli": transfercli.__version__, "python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        with suppress(PackageNotFoundError):
            installed[package] = version(package)
    if "tensorflow" not in installed:
        with suppress(PackageNotFoundError):
            installed["tensorflow"] = version("tensorflow-cpu")  # the same code, built without CUDA
    return installed


def machine(threads: int, devices: list[str]) -> dict[str, Any]:
    """Return the machine's properties that affect results.

    Args:
        threads: number of threads that a training step uses.
        devices: names of the accelerators.
    """
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": threads,
        "features": processor_features(),
        "devices": devices,
        "settings": {name: _without_paths(os.environ[name]) for name in RECORDED_VARIABLES if name in os.environ},
    }


def _without_paths(value: str) -> str:
    """Return a variable's value with paths replaced by "…": they reveal the machine and do not affect results."""
    return re.sub(r"/[^\s,]*", "…", value)


def processor_features() -> list[str]:
    """Return the instruction sets under the names that Linux gives them; empty on systems without /proc/cpuinfo."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return sorted({word for word in line.group(1).split() if INSTRUCTION_SETS.fullmatch(word)}) if line else []


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a text for each value that changed, sorted; top-level keys that only one mapping has are not compared."""
    texts = []
    for name in before.keys() & now.keys() - NOT_COMPARED:
        old, new = before[name], now[name]
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            missing = dict.fromkeys(old.keys() | new.keys())
            texts += differences({**missing, **old}, {**missing, **new})
        elif isinstance(old, list) and isinstance(new, list):
            lost, gained = sorted(set(old) - set(new)), sorted(set(new) - set(old))
            texts.append(
                f"{name}{' without ' * bool(lost)}{', '.join(lost)}{' with ' * bool(gained)}{', '.join(gained)}"
            )
        else:
            texts.append(f"{name} {new} instead of {old}")
    return sorted(texts)
