"""The program: its help and its usage errors."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from transfercli.cli.app import app, main


def helped(*words: str) -> str:
    found = CliRunner().invoke(app, words, env={"COLUMNS": "80"})
    assert found.exit_code == 0
    return found.output


@pytest.mark.parametrize("words", [(), ("export",), ("runs",), ("runs", "compare"), ("config", "init")])
def test_h_is_help_for_every_command(words: tuple[str, ...]) -> None:
    assert helped(*words, "-h") == helped(*words, "--help")


def test_no_summary_is_cut_at_80_columns() -> None:
    for words in ((), ("config",), ("data",), ("cache",), ("runs",)):
        assert "..." not in helped(*words, "--help").split("Commands:")[1], words


@pytest.mark.parametrize("words", [["evaluate", "x", "--split", "train"], ["export", "x", "--quantize", "int4"]])
def test_a_choice_that_is_none_lists_those_there_are(words: list[str], capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["transfercli", *words])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert f"error: Invalid value for '{words[-2]}': '{words[-1]}' is not one of '" in error
