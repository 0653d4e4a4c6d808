"""`sample`: an embedded image folder on disk."""

from __future__ import annotations

from pathlib import Path

from transfercli.workflows.data.sample import sample


def test_the_result_counts_what_is_on_disk(tmp_path: Path) -> None:
    result = sample("digits-source", tmp_path / "data")
    assert result.as_json() == {
        "sample": "digits-source",
        "path": str(tmp_path / "data"),
        "images": {split: len(list((tmp_path / "data" / split).glob("*/*.png"))) for split in ("train", "test")},
        "classes": list("01234"),
    }
    assert sample("digits-source", tmp_path / "data") == result  # it is there already
