"""The warning that a RUN named by its experiment is not the champion: in every command that reads a RUN."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.conftest import World
from transfercli.cli.app import main

Warnings = Callable[..., int]
WARNING = "warning: digits-source means its latest completed run, newer, but its champion is "


@pytest.fixture(scope="module")
def folder(source: tuple[World, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment with a champion and a newer run that is a copy of it."""
    world, trained = source
    folder, run = tmp_path_factory.mktemp("two"), Path(trained["run"])
    experiment = folder / "runs" / "digits-source"
    shutil.copy(world.folder / "digits-source.yaml", folder)
    for name, created in ((run.name, "2026-01-01T00:00:00Z"), ("newer", "2026-01-02T00:00:00Z")):
        shutil.copytree(run, experiment / name, symlinks=True)
        record = experiment / name / "run.json"
        record.write_text(json.dumps(json.loads(record.read_text()) | {"created": created, "run_id": name}))
    (experiment / "champion").symlink_to(run.name)
    (experiment / "latest").symlink_to("newer")
    shutil.copytree(world.samples / "digits-source" / "test" / "0", folder / "new" / "0")
    (folder / "taken").mkdir()
    (folder / "taken" / "safetensors").write_text("a file")
    return folder


@pytest.fixture
def warnings(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Warnings:
    """`warnings(line, code)`: how often a command line with that exit code warns."""
    monkeypatch.chdir(folder)

    def count(line: str, code: int = 0) -> int:
        monkeypatch.setattr(sys, "argv", ["transfercli", *line.split()])
        with pytest.raises(SystemExit) as stop:
            main()
        errors = capsys.readouterr().err
        assert (stop.value.code or 0) == code, errors
        return sum(text.startswith(WARNING) for text in errors.splitlines())

    return count


@pytest.mark.parametrize(
    "line, code",
    [
        ("evaluate digits-source --split validation", 0),
        ("predict digits-source new", 0),
        ("export digits-source --format safetensors --out taken", 2),  # refused right after the lookup
        ("data diff digits-source.yaml digits-source", 0),
        ("data drift digits-source new", 0),
        ("runs show digits-source", 0),
        ("runs compare digits-source@champion digits-source --split validation", 0),
    ],
)
def test_a_command_that_reads_a_run_warns_once_if_an_experiment_does_not_name_its_champion(
    line: str, code: int, warnings: Warnings
) -> None:
    assert warnings(line, code) == 1


@pytest.mark.parametrize("run", ["digits-source@champion", "digits-source@latest", "digits-source/newer"])
def test_a_run_that_is_named_outright_needs_no_warning(run: str, warnings: Warnings) -> None:
    assert warnings(f"runs show {run}") == 0


@pytest.mark.parametrize(
    "line", ["pretrain --resume digits-source", "promote digits-source", "runs list digits-source"]
)
def test_a_command_that_changes_or_lists_runs_does_not_warn(line: str, warnings: Warnings) -> None:
    assert warnings(line) == 0
