"""Answers that a run is scored by, `held_out.safetensors`: logits of images that its weights did not learn from.

They are those of the best epoch, of the validation images, or out of fold if the model learnt from these in the end. So
runs can be compared, chosen among and merged without another forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from transfercli.data.label_sets import UNKNOWN
from transfercli.errors import ArtefactError
from transfercli.io import atomic
from transfercli.models.weights.safetensors_reader import read_safetensors

HINT = "restore the run, or train it again"
SEPARATOR = "\0"  # no path holds it


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutAnswers:
    """Logits of N images.

    paths: of the images, as in `dataset.csv`, each once
    targets: int64 [N], indices into the run's labels; [N, L] if an image may have several labels; or float64 [N] of
        numbers, as in `Split`
    logits: float32 [N, C], or [N, 1] of a sigmoid head; not calibrated
    """

    paths: tuple[str, ...]
    targets: npt.NDArray[Any]
    logits: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.paths)


def write_held_out(path: Path, paths: Sequence[str], targets: np.ndarray, logits: np.ndarray) -> None:
    """Write the file atomically; the same answers give the same bytes. Arguments as in `HeldOutAnswers`."""
    text = SEPARATOR.join(paths).encode("utf-8", "surrogateescape")
    tensors = {
        "logits": np.ascontiguousarray(logits, np.float32),
        "paths": np.frombuffer(text, np.uint8),
        "targets": np.asarray(targets, np.float32 if targets.dtype.kind == "f" else np.int32),
    }
    atomic.write_bytes(path, safetensors.numpy.save(tensors))


def read_held_out(path: Path) -> HeldOutAnswers | None:
    """Read the file; None if a run of an earlier version has none. Raises `ArtefactError` if it is damaged."""
    if not path.exists():
        return None
    tensors = read_safetensors(path)
    try:
        logits, targets = tensors["logits"], tensors["targets"]
        paths = tuple(tensors["paths"].tobytes().decode("utf-8", "surrogateescape").split(SEPARATOR))
    except KeyError as error:
        raise ArtefactError(f"{path.name} is damaged: it has no tensor {error}", HINT) from None
    units = logits.shape[-1] if logits.ndim else 0
    shapes_allowed = ((len(paths),), (len(paths), units))
    if logits.shape != (len(paths), units) or targets.shape not in shapes_allowed or len(set(paths)) != len(paths):
        shapes = f"{len(paths)} paths, logits {list(logits.shape)} and targets {list(targets.shape)}"
        raise ArtefactError(f"{path.name} is damaged: it has {shapes}", HINT)
    if logits.dtype != np.float32 or targets.dtype not in (np.int32, np.float32) or not np.isfinite(logits).all():
        raise ArtefactError(f"{path.name} is damaged: its logits or targets are not numbers", HINT)
    if targets.dtype == np.float32:
        if units != 1 or targets.ndim != 1 or not np.isfinite(targets).all():
            raise ArtefactError(f"{path.name} is damaged: its targets are not one finite number each", HINT)
        return HeldOutAnswers(paths, targets.astype(np.float64), logits)
    low, high = (UNKNOWN, 1) if targets.ndim == 2 else (0, max(units, 2) - 1)
    if targets.min() < low or targets.max() > high:
        raise ArtefactError(f"{path.name} is damaged: its targets are not from {low} to {high}", HINT)
    return HeldOutAnswers(paths, targets.astype(np.int64), logits)
