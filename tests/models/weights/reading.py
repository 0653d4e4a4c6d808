"""Reading of weight files."""

from __future__ import annotations

from pathlib import Path

from transfercli.config.schema import FileWeights
from transfercli.reporting import Reporter


def read(path: Path, base, sha256: str | None = None, name: str = "small_cnn"):
    from transfercli.models.weights.pretrained import file_tensors

    return file_tensors(FileWeights(path=str(path), sha256=sha256), name, base, Reporter()).tensors
