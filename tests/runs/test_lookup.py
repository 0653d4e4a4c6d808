"""An experiment's name means its latest completed run, and says so where that is not the champion."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.listener import Listener
from tests.runs.records import COMPLETED
from transfercli.runs.lookup import find_run, find_run_and_warn


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for day in ("1", "2"):
        place = tmp_path / "flowers" / f"2026010{day}-000000-aaaaaa"
        place.mkdir(parents=True)
        (place / "run.json").write_text(json.dumps(COMPLETED | {"created": f"2026-01-0{day}"}))
    return tmp_path


def test_a_latest_run_that_is_not_the_champion_is_told(runs: Path) -> None:
    listener = Listener()
    assert find_run_and_warn("flowers", runs, listener).run_id.startswith("20260102")
    assert listener.warnings == []  # there is no champion
    (runs / "flowers" / "champion").symlink_to("20260101-000000-aaaaaa")
    assert find_run_and_warn("flowers", runs, listener).run_id.startswith("20260102")
    (told,) = listener.warnings
    assert "flowers@champion" in told
    assert "20260101-000000-aaaaaa" in told


def test_who_says_which_run_hears_nothing(runs: Path) -> None:
    (runs / "flowers" / "champion").symlink_to("20260101-000000-aaaaaa")
    listener = Listener()
    for text in (
        "flowers@champion",
        "flowers/20260102-000000-aaaaaa",
        str(runs / "flowers" / "20260102-000000-aaaaaa"),
    ):
        find_run_and_warn(text, runs, listener)
    (runs / "flowers" / "champion").unlink()
    (runs / "flowers" / "champion").symlink_to("20260102-000000-aaaaaa")
    find_run_and_warn("flowers", runs, listener)
    assert listener.warnings == []


@pytest.mark.parametrize("name", ["latest", "champion"])
def test_an_experiment_may_be_called_like_a_link_for_links_lie_below_it(tmp_path: Path, name: str) -> None:
    run = tmp_path / name / "r1"
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps(COMPLETED))
    (run.parent / "latest").symlink_to("r1")
    assert {find_run(text, tmp_path).run_id for text in (name, f"{name}/r1", f"{name}@latest")} == {"r1"}
