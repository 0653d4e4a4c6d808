"""Fingerprints of the model and images of an evaluation, which show that it is out of date."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from transfercli.data.manifest import read_manifest
from transfercli.io.bounded import read_json
from transfercli.runs.folder import RunFolder
from transfercli.training.checkpoints import MANIFEST


def fingerprints_of(run: RunFolder, images: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return {"model", "images"}: SHA-256 of the best checkpoint and its calibration, and of (path, SHA-256) pairs."""
    return {"model": model_fingerprint(run), "images": _images_fingerprint(images)}


def is_stale(run: RunFolder, split: str) -> bool:
    """Return True if `evaluation/SPLIT` is missing, or the model, its calibration or the images changed since.

    If the run has no images of the split (they came from `evaluate --data DIR`), only the model is checked.
    """
    folder = run.evaluation(split)
    if not all((folder / name).is_file() for name in ("metrics.json", "predictions.csv")):
        return True
    metrics = read_json(folder / "metrics.json")
    fingerprints = metrics.get("made_from") if isinstance(metrics, dict) else None
    if not isinstance(fingerprints, dict) or fingerprints.get("model") != model_fingerprint(run):
        return True
    hashes = recorded_hashes(run, split)
    return bool(hashes) and fingerprints.get("images") != _images_fingerprint(hashes.items())


def recorded_hashes(run: RunFolder, split: str) -> dict[str, str]:
    """Return {path: SHA-256} of the run's own images of a split."""
    return {record.path: record.sha256 for record in read_manifest(run.dataset) if record.split == split}


def model_fingerprint(run: RunFolder) -> str:
    """Return the SHA-256 of the best checkpoint and its calibration."""
    # The manifest of the checkpoint holds the hash of each of its files; loading the checkpoint verifies them.
    files = (run.checkpoints / "best" / MANIFEST, run.calibration)
    return hashlib.sha256(b"".join(_read_if_present(path) for path in files)).hexdigest()


def _read_if_present(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _images_fingerprint(images: Iterable[tuple[str, str]]) -> str:
    lines = sorted(f"{sha256} {path}\n" for path, sha256 in images)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
