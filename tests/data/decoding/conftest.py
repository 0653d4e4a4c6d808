"""Files for decoders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def files(tmp_path: Path, png: Callable[[int], bytes]) -> list[str]:
    """Good and bad files with names that need care between processes."""
    names = [f"{n} a\nb \udce9 日.png" for n in range(40)]
    for n, name in enumerate(names):
        (tmp_path / name).write_bytes(b"bad" if n % 7 == 3 else png(n)[:-40] if n % 7 == 5 else png(n))
    return [str(tmp_path / name) for name in names] + [str(tmp_path / "missing.png")]
