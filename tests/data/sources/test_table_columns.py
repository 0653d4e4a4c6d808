"""Columns of tables, kept with a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from transfercli.data.sources.table_columns import read_columns, write_columns
from transfercli.errors import ArtefactError


def test_columns_are_read_as_they_were_written_and_damage_is_told(tmp_path: Path) -> None:
    columns = {'a,"b".png': {"camera": "line\nbreak", "site": ""}, "\udce9.png": {"camera": "é"}}
    write_columns(tmp_path / "slices.csv", columns, ["camera", "site"])
    assert read_columns(tmp_path / "slices.csv") == {
        'a,"b".png': {"camera": "line\nbreak", "site": ""},
        "\udce9.png": {"camera": "é", "site": ""},
    }
    assert read_columns(tmp_path / "none.csv") == {}
    (tmp_path / "slices.csv").write_text('"image","camera"\n"a","b"\n')
    with pytest.raises(ArtefactError, match=r"slices.csv in .* is damaged"):
        read_columns(tmp_path / "slices.csv")
