"""Weight files with PyTorch's names and random values, and a local cache of the Hugging Face Hub that holds them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from tests.models.weights.foreign.made_weights import made_tensor

FIXTURES = Path(__file__).parent / "foreign" / "fixtures"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CARD = "---\nlicense: {licence}\ntags: [image-classification]\n---\n# A network\n"


def torch_tensors(name: str = "torchvision_resnet18", classes: int | None = None) -> dict[str, np.ndarray]:
    """Return random tensors with the names and shapes of a fixture, and a head of `classes` if it is given."""
    shapes = json.loads((FIXTURES / f"{name}.json").read_text())["shapes"]
    tensors = {key: made_tensor(key, tuple(shape)) for key, shape in shapes.items()}
    tensors.pop("fc.weight", None), tensors.pop("fc.bias", None)
    if classes:
        tensors["fc.weight"] = made_tensor("fc.weight", (classes, 512))
        tensors["fc.bias"] = made_tensor("fc.bias", (classes,))
    return tensors


def write_torch_file(path: Path, tensors: Mapping[str, np.ndarray]) -> Path:
    """Write tensors as safetensors, and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors.numpy.save_file(dict(tensors), path, {"format": "pt"})
    return path


def write_cache(
    hub: Path, repository: str, files: Mapping[str, bytes | Path], commit: str = COMMIT, ref: str = "main"
) -> Path:
    """Add a repository's files to a local cache, laid out as huggingface_hub does; return their folder."""
    root = hub.absolute() / f"models--{repository.replace('/', '--')}"
    snapshot = root / "snapshots" / commit
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.read_bytes()
        blob = root / "blobs" / hashlib.sha256(data).hexdigest()
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(data)
        link = snapshot / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(blob)
    (root / "refs").mkdir(exist_ok=True)
    (root / "refs" / ref).write_text(commit)
    return snapshot


def card(licence: str) -> bytes:
    return CARD.format(licence=licence).encode()


def settings(**values: Any) -> bytes:
    return json.dumps(values).encode()
