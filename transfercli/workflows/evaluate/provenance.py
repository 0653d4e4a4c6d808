"""What an evaluation was made from, so that it is known when it no longer speaks of the run as it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from transfercli.data.manifest import read_manifest
from transfercli.io.bounded import read_json
from transfercli.runs.folder import RunFolder
from transfercli.training.checkpoints import MANIFEST


def made_from(run: RunFolder, images: Iterable[tuple[str, str]]) -> dict[str, str]:
    """{"model", "images"}: fingerprints of the best checkpoint with its calibration, and of (path, SHA-256) pairs."""
    return {"model": _model(run), "images": _images(images)}


def is_stale(run: RunFolder, split: str) -> bool:
    """Whether `evaluation/SPLIT` has to be made anew, or made at all: the model, its calibration or the images differ.

    Of a split that the run has no images of, those of an `evaluate --data DIR`, the model alone can be checked.
    """
    place = run.evaluation(split)
    if not all((place / name).is_file() for name in ("metrics.json", "predictions.csv")):
        return True
    metrics = read_json(place / "metrics.json")
    told = metrics.get("made_from") if isinstance(metrics, dict) else None
    if not isinstance(told, dict) or told.get("model") != _model(run):
        return True
    own = recorded(run, split)
    return bool(own) and told.get("images") != _images(own.items())


def recorded(run: RunFolder, split: str) -> dict[str, str]:
    """{path: SHA-256} of the run's own images of a split."""
    return {one.path: one.sha256 for one in read_manifest(run.dataset) if one.split == split}


def _model(run: RunFolder) -> str:
    # The checkpoint's manifest has the hash of each of its files, which loading verifies.
    parts = (run.checkpoints / "best" / MANIFEST, run.calibration)
    return hashlib.sha256(b"".join(_bytes(path) for path in parts)).hexdigest()


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _images(images: Iterable[tuple[str, str]]) -> str:
    lines = sorted(f"{sha256} {path}\n" for path, sha256 in images)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
