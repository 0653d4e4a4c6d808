"""`transfercli sample` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from transfercli.cli.app import app, main


def test_the_result_counts_the_images_that_were_written(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["sample", "digits-target", str(tmp_path / "data"), "--json"])
    result = json.loads(done.stdout)
    assert (result["sample"], result["path"]) == ("digits-target", str(tmp_path / "data"))
    assert result["classes"] == list("56789")
    for split, count in result["images"].items():
        assert len(list((tmp_path / "data" / split).glob("*/*.png"))) == count


def test_people_read_both_counts_on_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["sample", "digits-target", str(tmp_path / "data")])
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("images")]
    assert line.split()[1:] == ["719", "train,", "177", "test"]


def test_an_unknown_sample_is_exit_2(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["transfercli", "sample", "flowers", str(tmp_path / "data"), "--json"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert (stop.value.code, json.loads(capsys.readouterr().out)["error"]["kind"]) == (2, "usage")
    assert list(tmp_path.iterdir()) == []
