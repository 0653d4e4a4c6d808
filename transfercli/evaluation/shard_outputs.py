"""Outputs of a model for one shard of a split, in a file, until the shards of all images are evaluated together.

The numbers are stored as the model gives them, so an evaluation of all shards is that of one process to the bit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from transfercli.errors import ArtefactError
from transfercli.io import atomic
from transfercli.models.weights.safetensors_reader import read_safetensors

HINT = "remove it, and evaluate the shard again"
SEPARATOR = "\0"  # no path holds it

Image = tuple[str, str]  # path in the split, SHA-256 of the file


@dataclass(frozen=True, slots=True, eq=False)
class ShardOutputs:
    """Outputs for N images.

    images: each with its content. outputs: float32 [N, units], one row per image, of `StoredRun.scored_model`.
    made_by: what the outputs depend on besides the images, such as a hash of the model.
    """

    images: tuple[Image, ...]
    outputs: npt.NDArray[np.float32]
    made_by: Mapping[str, str]

    def write(self, path: Path) -> None:
        """Write the file atomically; the same outputs give the same bytes."""
        tensors = {
            "made_by": _as_bytes(json.dumps(dict(self.made_by), sort_keys=True)),
            "outputs": np.ascontiguousarray(self.outputs, np.float32),
            "paths": _as_bytes(SEPARATOR.join(path for path, _ in self.images)),
            "sha256s": _as_bytes(SEPARATOR.join(sha256 for _, sha256 in self.images)),
        }
        atomic.write_bytes(path, safetensors.numpy.save(tensors))

    @classmethod
    def read(cls, path: Path) -> ShardOutputs:
        """Read a file that `write` wrote. Raises `ArtefactError` if it is missing or damaged."""
        tensors = read_safetensors(path)
        try:
            names = [_texts(tensors[name]) for name in ("paths", "sha256s")]
            made_by: Any = json.loads(tensors["made_by"].tobytes())
            outputs = tensors["outputs"]
        except (KeyError, ValueError) as error:
            raise ArtefactError(f"{path.name} is damaged: {type(error).__name__}: {error}", HINT) from None
        count = len(names[0])
        if outputs.dtype != np.float32 or outputs.ndim != 2 or {len(names[1]), len(outputs)} != {count}:
            raise ArtefactError(f"{path.name} is damaged: {count} images and outputs {list(outputs.shape)}", HINT)
        if not isinstance(made_by, dict):
            raise ArtefactError(f"{path.name} is damaged: it does not say what made it", HINT)
        return cls(tuple(zip(*names, strict=True)), outputs, made_by)


def _as_bytes(text: str) -> npt.NDArray[np.uint8]:
    return np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8)


def _texts(content: np.ndarray) -> list[str]:
    text = content.tobytes().decode("utf-8", "surrogateescape")
    return text.split(SEPARATOR) if text else []
