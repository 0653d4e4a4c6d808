"""Where a run's relative paths start, told without the user's name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from transfercli.runs.folder import RunFolder
from transfercli.runs.record import read_config_folder, relative_config_folder


@pytest.mark.parametrize("runs, config", [("home/ann/p/runs", "home/ann/p"), ("srv/runs", "home/ann/p"), ("a", "b/c")])
def test_the_config_s_folder_is_found_again_and_names_no_user_of_another_place(
    runs: str, config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "ann"))
    run = RunFolder(tmp_path / runs / "flowers" / "r1")
    run.path.mkdir(parents=True)
    (tmp_path / config).mkdir(parents=True, exist_ok=True)
    kept = relative_config_folder(run, tmp_path / config)
    assert "ann" not in kept
    facts = {"status": "running", "command": "", "config_folder": kept, "versions": {}}
    run.record.write_text(json.dumps(facts | {"data": {"fingerprint": "", "images": {}}}))
    assert read_config_folder(run) == (tmp_path / config).resolve()


def test_a_home_that_nobody_has_is_a_name_like_others(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    facts = {"status": "running", "command": "", "config_folder": "~no-such-user/x", "versions": {}}
    run.record.write_text(json.dumps(facts | {"data": {"fingerprint": "", "images": {}}}))
    assert read_config_folder(run) == tmp_path.resolve() / "~no-such-user" / "x"
