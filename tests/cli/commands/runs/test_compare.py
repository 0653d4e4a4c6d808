"""The printed results of `runs compare`."""

from __future__ import annotations

import json

import pytest

from transfercli.cli.app import main
from transfercli.cli.commands.runs.compare import _first_paths


def test_a_path_with_an_end_of_line_stays_one_name() -> None:
    assert _first_paths(["a\nb.png", "c.png"]) == "2: a\\nb.png, c.png"
    assert _first_paths([]) == "0"


@pytest.mark.parametrize("words", [("a",), ("a", "b", "--split", "train"), ("a", "b", "--metric", "beauty")])
def test_compare_refuses_what_it_cannot_mean(words: tuple[str, ...], capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["transfercli", "runs", "compare", *words, "--json"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "usage"
