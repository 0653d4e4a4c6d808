"""Options that commands share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from transfercli.cli.app import app
from transfercli.cli.options import RUNS


def commands(group: Any, name: str = "transfercli") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each command's name and its options by name."""
    if hasattr(group, "commands"):
        for word, command in group.commands.items():
            yield from commands(command, f"{name} {word}")
    else:
        yield name, {spelling: parameter for parameter in group.params for spelling in parameter.opts}


def test_a_shared_option_has_one_help_text_and_one_default_in_all_commands() -> None:
    found = dict(commands(typer.main.get_command(app)))
    for option in ("--json", "--quiet", "--verbose", "--runs", "--set"):
        same = {(options[option].help, str(options[option].default)) for options in found.values() if option in options}
        assert len(same) == 1, (option, same)


def test_every_command_prints_json_when_asked_to() -> None:
    without = [name for name, options in commands(typer.main.get_command(app)) if "--json" not in options]
    assert without == []


def test_runs_lie_in_the_working_folder_by_default() -> None:
    assert not RUNS.is_absolute()
    assert Path("runs") == RUNS


@pytest.mark.parametrize("given", ["s3://bucket/runs", "https://host/runs"])
def test_an_address_is_no_folder_of_runs(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["runs", "list", "--runs", given])
    assert result.exit_code == 2
    assert f"{given} is an address" in result.output
    assert list(tmp_path.iterdir()) == []
