"""Images read back from the cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.pixels import everything, segments
from transfercli.data.dataset import Dataset
from transfercli.errors import DataError

Load = Callable[..., Dataset]


TWO = {"cat": 12, "dog": 12}


def test_damage_that_the_file_cannot_mend_is_an_error(
    tmp_path: Path, grow: Any, load: Load, cache_folder: Path
) -> None:
    found = load(grow(tmp_path / "images", TWO).parent)
    (segment,) = segments(cache_folder)
    with segment.open("r+b") as file:
        file.write(b"\xff" * segment.stat().st_size)
    for path in (tmp_path / "images").rglob("*.png"):
        path.write_bytes(b"something else")
    with pytest.raises(DataError, match="damaged"):
        everything(found.splits["train"])
