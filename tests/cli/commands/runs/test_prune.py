"""`transfercli runs prune` as its users start it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.runs.records import COMPLETED
from transfercli.cli.app import app


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Runs a (the oldest) to d of an experiment; c is the champion."""
    for age, name in enumerate("dcba"):
        folder = tmp_path / "e" / name
        folder.mkdir(parents=True)
        created = (datetime.now(UTC) - timedelta(days=age)).isoformat()
        (folder / "run.json").write_text(json.dumps(COMPLETED | {"created": created, "parent": None}))
    (tmp_path / "e" / "champion").symlink_to("c")
    return tmp_path


def prune(runs: Path, *words: str) -> Any:
    return CliRunner().invoke(app, ["runs", "prune", *words, "--runs", str(runs), "--quiet"])


def left(runs: Path) -> list[str]:
    return sorted(file.parent.name for file in runs.glob("e/[a-d]/run.json"))


def test_a_dry_run_says_what_the_same_call_then_removes(runs: Path) -> None:
    dry = prune(runs, "--keep-last", "1", "--dry-run", "--json")
    told = json.loads(dry.stdout)
    assert (dry.exit_code, told["dry_run"], left(runs)) == (0, True, list("abcd"))
    assert told["removed"] == [str(runs / "e" / name) for name in "ab"]
    assert [Path(one["run"]).name for one in told["kept"]] == ["c", "d"]
    assert all(one["why"] for one in told["kept"])
    done = json.loads(prune(runs, "--keep-last", "1", "--json").stdout)
    assert (done, left(runs)) == (told | {"dry_run": False}, list("cd"))


def test_people_read_how_many_go_and_why_the_others_stay(runs: Path) -> None:
    lines = prune(runs, "--keep-days", "1.5", "--dry-run").stdout.splitlines()
    assert lines[0].split() == ["would", "be", "removed", "2,", *lines[0].split()[4:]]
    assert lines[1].split() == ["kept", "2"]
    rows = {line.split(maxsplit=1)[0]: line.split(maxsplit=1)[1].strip() for line in lines if line.startswith("e/")}
    assert rows["e/a"] == rows["e/b"] == "would be removed"
    assert "champion" in rows["e/c"]
    assert rows["e/d"] != "would be removed"


def test_only_the_experiments_that_are_named_lose_runs(runs: Path) -> None:
    assert prune(runs, "gone", "--keep-last", "0").exit_code == 6
    (runs / "other").mkdir()
    assert prune(runs, "other", "--keep-last", "0").exit_code == 0
    assert left(runs) == list("abcd")
    assert prune(runs, "e", "--keep-last", "0").exit_code == 0
    assert left(runs) == ["c", "d"]  # champion and latest


@pytest.mark.parametrize("words", [(), ("--keep-last", "-1"), ("--keep-days", "nan")])
def test_without_a_rule_or_with_one_that_is_none_nothing_is_removed(runs: Path, words: tuple[str, ...]) -> None:
    assert prune(runs, *words).exit_code == 2
    assert left(runs) == list("abcd")
