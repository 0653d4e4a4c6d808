"""Changed images, and counted forward passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


def change(folder: Path, how: Any) -> None:
    for file in folder.rglob("*.png"):
        how(Image.open(file).convert("L")).save(file)


def passes_counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images went through a base each time one was asked."""
    from transfercli.transfer.features.prefix import Prefix

    asked, ask = [], Prefix.__call__

    def counting(prefix: Prefix, images: np.ndarray) -> np.ndarray:
        asked.append(len(images))
        return ask(prefix, images)

    monkeypatch.setattr(Prefix, "__call__", counting)
    return asked
