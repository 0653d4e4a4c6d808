"""The program: its help and its usage errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from transfercli.cli.app import app, main


def helped(*words: str) -> str:
    found = CliRunner().invoke(app, words, env={"COLUMNS": "80"})
    assert found.exit_code == 0
    return found.output


def commands(group: Any, *words: str) -> Iterator[tuple[str, ...]]:
    if not hasattr(group, "commands"):
        yield words
        return
    for name, sub in group.commands.items():
        yield from commands(sub, *words, name)


COMMANDS = list(commands(typer.main.get_command(app)))
VERBS = {
    *("Check", "Compare", "Evaluate", "Export", "List", "Make", "Measure", "Predict", "Print", "Remove", "Show"),
    *("Choose", "Explain", "Fill", "Find", "Recommend", "Serve", "Take", "Train", "Write"),
}


@pytest.mark.parametrize("words", [(), ("export",), ("runs",), ("runs", "compare"), ("config", "init")])
def test_h_is_help_for_every_command(words: tuple[str, ...]) -> None:
    assert helped(*words, "-h") == helped(*words, "--help")


def test_no_summary_is_cut_at_80_columns() -> None:
    for words in ((), ("config",), ("data",), ("cache",), ("runs",)):
        assert "..." not in helped(*words, "--help").split("Commands:")[1], words


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_help_of_a_command_begins_with_a_verb_has_one_example_and_fits_80_columns(words: tuple[str, ...]) -> None:
    told = helped(*words, "--help")
    assert max(map(len, told.splitlines())) <= 80
    summary = told.split("\n\n")[1].strip()
    assert summary.split()[0] in VERBS
    assert summary.endswith(".")
    examples = re.findall(r"^  Example: transfercli (.*)$", told, re.MULTILINE)
    assert len(examples) == 1
    assert tuple(examples[0].split()[: len(words)]) == words


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_example_of_a_command_has_only_options_that_it_has(words: tuple[str, ...]) -> None:
    told = helped(*words, "--help")
    example, options = told.split("Example: ")[1].splitlines()[0], told.split("Options:")[1]
    for option in re.findall(r" (--?[a-z][a-z-]*)", example):
        assert option in options


@pytest.mark.parametrize("words", [["evaluate", "x", "--split", "train"], ["export", "x", "--quantize", "int4"]])
def test_a_choice_that_is_none_lists_those_there_are(words: list[str], capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["transfercli", *words])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert f"error: Invalid value for '{words[-2]}': '{words[-1]}' is not one of '" in error
