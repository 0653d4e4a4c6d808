"""Options of `predict` that write files: what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from transfercli.cli.app import app


@pytest.mark.parametrize(
    "options, words",
    [
        (["--report", "page", "--watch", "."], "--watch has no end"),
        (["--sort-as", "copy", "photo.png"], "add --sort-into DIR"),
        (["--sort-into", "sorted", "--sort-as", "move", "photo.png"], "link"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, options: list[str], words: str) -> None:
    result = CliRunner().invoke(app, ["predict", "flowers", "--runs", str(tmp_path), *options])
    assert result.exit_code == 2
    assert words in result.output
