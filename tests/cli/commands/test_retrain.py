"""`transfercli promote` and `transfercli retrain` on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.runs.records import COMPLETED
from transfercli.cli.app import app


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A runs folder with the experiment `exp` of two completed runs."""
    for run_id in ("a", "b"):
        folder = tmp_path / "runs" / "exp" / run_id
        (folder / "checkpoints" / "epoch-00001").mkdir(parents=True)
        (folder / "checkpoints" / "last").symlink_to("epoch-00001")
        (folder / "run.json").write_text(json.dumps(COMPLETED))
    return tmp_path / "runs"


def call(runs: Path, *words: str) -> Any:
    return CliRunner().invoke(app, [*words, "--runs", str(runs)])


def test_promote_names_the_champion_and_the_one_before(runs: Path) -> None:
    first = json.loads(call(runs, "promote", "exp/a", "--json").stdout)
    assert first == first | {"experiment": "exp", "champion": str(runs / "exp" / "a"), "previous": None}
    second = json.loads(call(runs, "promote", "exp/b", "--json").stdout)
    assert (second["champion"], second["previous"]) == (str(runs / "exp" / "b"), str(runs / "exp" / "a"))
    back = call(runs, "promote", "--previous", "exp")
    assert back.exit_code == 0
    names = [line.split()[0] for line in back.stdout.splitlines() if line]
    assert names == ["experiment", "champion", "replaced", "next:"]
    assert (runs / "exp" / "champion").resolve().name == "a"


def test_promoting_the_champion_says_that_it_is_the_champion_already(runs: Path) -> None:
    call(runs, "promote", "exp/a")
    again = call(runs, "promote", "exp/a")
    assert "replaced" not in again.stdout
    assert "change      none: it is the champion already" in again.stdout
    link = json.loads(call(runs, "promote", "exp@champion", "--json").stdout)
    assert link["champion"] == link["previous"] == str(runs / "exp" / "a")


@pytest.mark.parametrize(
    "words, code, kind",
    [(("promote",), 2, "usage"), (("promote", "exp/c"), 6, "artefact"), (("retrain", "no.yaml"), 3, "config")],
)
def test_a_call_that_cannot_be_carried_out_has_the_exit_code_of_its_kind(
    runs: Path, words: tuple[str, ...], code: int, kind: str
) -> None:
    done = call(runs, *words, "--json")
    assert (done.exit_code, json.loads(done.stdout)["error"]["kind"]) == (code, kind)
