"""Recent images without labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def recent(tmp_path: Path, digits_folder: Path) -> Path:
    """Half of the test images of digits 0-4, without labels, at two depths."""
    folder = tmp_path / "recent"
    for number, file in enumerate(sorted((digits_folder / "digits-source" / "test").rglob("*.png"))[::2]):
        place = folder / ("2026" if number % 2 else ".") / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    return folder
