"""Environment variables that stand in for an option or a key: TRANSFERCLI_RUNS and TRANSFERCLI_CACHE."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tests.runs.records import COMPLETED
from transfercli.cli.app import app


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a run in `runs` and another one in `other`; neither variable is set."""
    for folder, experiment in (("runs", "here"), ("other", "there")):
        (tmp_path / folder / experiment / "r1").mkdir(parents=True)
        (tmp_path / folder / experiment / "r1" / "run.json").write_text(json.dumps(COMPLETED))
    monkeypatch.chdir(tmp_path)
    for name in ("TRANSFERCLI_RUNS", "TRANSFERCLI_CACHE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def result(*words: str) -> Any:
    answer = CliRunner().invoke(app, [*words, "--json"])
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def experiments(*words: str) -> list[str]:
    return [run["experiment"] for run in result("runs", "list", *words)["runs"]]


def test_transfercli_runs_stands_in_for_the_option(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert experiments() == ["here"]
    monkeypatch.setenv("TRANSFERCLI_RUNS", "other")
    assert experiments() == ["there"]
    assert experiments("--runs", "runs") == ["here"]
    monkeypatch.setenv("TRANSFERCLI_RUNS", "")
    assert experiments() == ["here"]


def commands(group: Any, words: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if not hasattr(group, "commands"):
        return {words: group}
    return {key: value for name, sub in group.commands.items() for key, value in commands(sub, (*words, name)).items()}


def test_every_command_with_runs_reads_the_variable_and_says_so() -> None:
    with_runs = {}
    for words, command in commands(typer.main.get_command(app)).items():
        options = [option for option in command.params if "--runs" in option.opts]
        with_runs |= {words: options[0]} if options else {}
    assert {("pretrain",), ("finetune",), ("evaluate",), ("predict",), ("export",), ("retrain",)} <= set(with_runs)
    assert [words for words, option in with_runs.items() if option.envvar != "TRANSFERCLI_RUNS"] == []
    assert "TRANSFERCLI_RUNS" in CliRunner().invoke(app, ["evaluate", "--help"]).output


def test_transfercli_cache_stands_in_for_compute_cache_dir(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(world / "home"))
    monkeypatch.setenv("HOME", str(world / "home"))
    outside = Path(result("cache", "show")["folder"])
    assert (world / "home") in outside.parents
    monkeypatch.setenv("TRANSFERCLI_CACHE", str(world / "cache"))
    assert Path(result("cache", "show")["folder"]) == world / "cache"
    assert Path(result("cache", "show", "--dir", str(world / "mine"))["folder"]) == world / "mine"


def test_the_key_of_a_config_wins_over_transfercli_cache(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFERCLI_CACHE", str(world / "cache"))
    result("sample", "digits-target", "images")
    text = "name: t\ndata: {train: images}\nmodel: {base: small_cnn, weights: none}\n"
    (world / "plain.yaml").write_text(text)
    (world / "own.yaml").write_text(text + "compute: {cache_dir: own}\n")
    result("data", "check", "own.yaml")
    assert (world / "own").is_dir()
    assert not (world / "cache").exists()
    result("data", "check", "plain.yaml")
    assert (world / "cache").is_dir()
