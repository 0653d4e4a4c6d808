"""Shell completion, asked for with the environment variables that a shell's completion function sets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs.records import COMPLETED
from transfercli.cli.app import main
from transfercli.config.registries import names

ROOT = Path(__file__).parents[2]
HEAVY = {"keras", "tensorflow", "jax", "sklearn", "matplotlib", "scipy", "PIL", "torch"}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two experiments with three runs, one of them a champion, and a folder that holds no run."""
    for run in ("flowers/r1", "flowers/r2", "birds/r3"):
        (tmp_path / "runs" / run).mkdir(parents=True)
        (tmp_path / "runs" / run / "run.json").write_text(json.dumps(COMPLETED))
    (tmp_path / "runs" / "flowers" / "champion").symlink_to("r1")
    (tmp_path / "runs" / "empty").mkdir()
    return tmp_path / "runs"


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Return the candidates for the last word of a command line."""

    def ask(line: str) -> list[str]:
        words = line.split(" ")
        monkeypatch.setenv("_TRANSFERCLI_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        monkeypatch.setattr(sys, "argv", ["transfercli"])
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code
        return capsys.readouterr().out.split()

    return ask


def test_commands_and_options_are_completed(complete) -> None:
    assert complete("transfercli e") == ["evaluate", "export", "embed"]
    assert complete("transfercli config ") == ["init", "validate", "show", "schema"]
    assert "--dry-run" in complete("transfercli finetune --d")


def test_choices_come_from_the_tables(complete) -> None:
    assert complete("transfercli config init --base vgg") == [name for name in names("base") if name.startswith("vgg")]
    assert complete("transfercli export flowers --format ") == list(names("format"))
    assert complete("transfercli runs compare a b --metric acc") == ["accuracy"]
    assert complete("transfercli evaluate flowers --split ") == ["validation", "test"]


def test_a_run_is_an_experiment_then_one_of_its_runs(complete, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs.parent)
    assert complete("transfercli evaluate ") == ["birds", "flowers", "flowers@champion"]
    assert complete("transfercli predict fl") == ["flowers", "flowers@champion"]
    assert complete("transfercli runs show flowers/") == ["flowers/r1", "flowers/r2"]
    assert complete("transfercli runs compare birds flowers/r") == ["flowers/r1", "flowers/r2"]
    assert complete("transfercli runs why flowers/r") == ["flowers/r1", "flowers/r2"]
    assert complete("transfercli runs why birds flowers@") == ["flowers@champion"]
    assert complete("transfercli finetune --resume b") == ["birds"]
    assert complete("transfercli runs prune f") == ["flowers"]


def test_runs_are_looked_up_in_the_folder_that_is_named(complete, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert complete(f"transfercli evaluate --runs {runs} b") == ["birds"]
    assert complete("transfercli evaluate b") == []
    monkeypatch.setenv("TRANSFERCLI_RUNS", str(runs))
    assert complete("transfercli evaluate b") == ["birds"]


def test_files_are_left_to_the_shell(complete, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs.parent)
    assert complete("transfercli finetune ru") == []
    assert complete("transfercli evaluate runs/flow") == []


@pytest.mark.parametrize("line", ["config init --base v", "export x --format o", "evaluate ", "finetune "])
def test_no_completion_loads_a_framework(line: str, tmp_path: Path) -> None:
    probe = "import sys\nfrom transfercli.cli.app import main\ntry:\n main()\nfinally:\n print(*sys.modules)"
    words = f"transfercli {line}"
    asked = {"_TRANSFERCLI_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    environment = os.environ | asked | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", probe]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    assert not HEAVY.intersection(answer.stdout.splitlines()[-1].split())


def test_bash_gets_the_part_after_the_at_sign_where_it_splits_words(complete, runs: Path, monkeypatch) -> None:
    monkeypatch.chdir(runs.parent)
    (runs / "flowers" / "latest").symlink_to("r2")
    assert complete("transfercli evaluate flowers @ ch") == ["@champion"]
    assert complete("transfercli evaluate flowers @") == ["@champion", "@latest"]
    assert complete("transfercli runs compare flowers @ champion fl") == [
        "flowers",
        "flowers@champion",
        "flowers@latest",
    ]
    assert complete("transfercli runs compare flowers @ champion flowers @ l") == ["@latest"]


def test_samples_are_completed(complete) -> None:
    assert complete("transfercli sample digits-s") == ["digits-source", "digits-scenes"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_itself_completes_a_command_line(tmp_path: Path, runs: Path) -> None:
    program = tmp_path / "transfercli"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m transfercli "$@"\n')
    program.chmod(0o755)
    script = """
    eval "$(transfercli --show-completion bash)"
    COMP_WORDS=(transfercli config init --base small) COMP_CWORD=4
    _transfercli_completion transfercli
    echo "${COMPREPLY[@]}"
    COMP_WORDS=(transfercli evaluate flowers @ ch) COMP_CWORD=4
    _transfercli_completion transfercli
    echo "${COMPREPLY[@]}"
    complete -p transfercli
    """
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["bash", "--norc", "-c", script]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=runs.parent)
    first, second, third = answer.stdout.splitlines()
    assert (first, second) == ("small_cnn", "@champion")
    assert third == "complete -o default -F _transfercli_completion transfercli"
