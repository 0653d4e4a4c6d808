"""Changed images, and counted forward passes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from transfercli.rows import Rows


def change(folder: Path, how: Any) -> None:
    for file in folder.rglob("*.png"):
        how(Image.open(file).convert("L")).save(file)


def passes_counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images went through a base each time one was asked."""
    from transfercli.transfer.features.prefix import Prefix

    asked, ask = [], Prefix.batches

    def counting(prefix: Prefix, inputs: Rows, rows: np.ndarray) -> Iterator[np.ndarray]:
        asked.append(len(rows))
        return ask(prefix, inputs, rows)

    monkeypatch.setattr(Prefix, "batches", counting)
    return asked
