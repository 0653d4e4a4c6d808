"""The comment by which a config names its JSON Schema to an editor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from transfercli.config.editor import EDITOR_LINE, SCHEMA_FILE, SCHEMA_ID, editor_line, is_schema


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder."""
    (tmp_path / "top" / "configs" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "top")
    return tmp_path / "top"


@pytest.mark.parametrize("folder, path", [("configs", ""), ("configs/deep", "../"), (".", "configs/")])
def test_the_nearest_schema_at_or_above_a_config_is_named_relative_to_it(top: Path, folder: str, path: str) -> None:
    (top / "configs" / SCHEMA_FILE).write_text("{}")
    expected = f"{EDITOR_LINE}{path}{SCHEMA_FILE}\n" if folder != "." else ""
    assert editor_line(top / folder) == expected


def test_nothing_above_the_working_folder_is_named(top: Path) -> None:
    (top.parent / SCHEMA_FILE).write_text("{}")
    assert editor_line(top / "configs") == ""


def test_a_schema_is_recognised_by_its_id(tmp_path: Path) -> None:
    path = tmp_path / SCHEMA_FILE
    assert not is_schema(path)
    for content, expected in ((json.dumps({"$id": SCHEMA_ID}), True), ('{"$id": "other"}', False), ("[", False)):
        path.write_text(content)
        assert is_schema(path) is expected
