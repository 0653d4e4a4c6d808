"""Bounded reads of JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from transfercli.errors import ArtefactError
from transfercli.io.bounded import MAX_JSON, read_json


@pytest.mark.parametrize(
    "content",
    [b"{", b'{"a": NaN}', b"[" * 100_000, b"9" * 5000, b"9" * 400, b"1e400", b"\xff", b'"' + b"x" * MAX_JSON + b'"'],
)
def test_json_that_is_damaged_or_without_bounds_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(ArtefactError, match="cannot be read"):
        read_json(tmp_path / "run.json")
