"""Retention: the runs that must stay when old ones go."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.runs.crowns import crown
from tests.runs.records import COMPLETED
from transfercli.io.file_sizes import folder_size
from transfercli.runs.folder import RunFolder
from transfercli.runs.retention import RetentionRule, creation_time, protected_runs, recent_runs

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def record(run: Path, **facts: object) -> RunFolder:
    run.mkdir(parents=True, exist_ok=True)
    (run / "run.json").write_text(json.dumps(COMPLETED | facts))
    return RunFolder(run)


def test_champion_latest_and_their_ancestors_are_needed_and_the_reason_is_named(experiment: Path) -> None:
    record(experiment / "b", parent="exp/a")
    record(experiment / "c", parent="other/x")
    record(experiment.parent / "other" / "x", status="failed")
    crown(experiment, "b", "first")
    (experiment / "latest").symlink_to("c")
    assert protected_runs(experiment.parent) == {
        "exp/b": "champion",
        "exp/c": "latest",
        "exp/a": "ancestor of exp/b",
        "other/x": "ancestor of exp/c",
    }


def test_parents_in_a_circle_end_the_lineage(experiment: Path) -> None:
    record(experiment / "a", parent="exp/b")
    record(experiment / "b", parent="exp/a")
    (experiment / "latest").symlink_to("a")
    assert set(protected_runs(experiment.parent)) == {"exp/a", "exp/b"}


def test_the_newest_runs_and_the_young_ones_stay(tmp_path: Path) -> None:
    ages = {"a": 1, "b": 2, "c": 20, "d": 40}
    runs = [
        record(tmp_path / "exp" / name, created=(NOW - timedelta(days=age)).isoformat()) for name, age in ages.items()
    ]
    assert recent_runs(runs, RetentionRule(last=1, days=30, now=NOW)) == {
        "exp/a": "one of the last 1",
        "exp/b": "younger than 30 days",
        "exp/c": "younger than 30 days",
    }


def test_a_run_without_a_readable_record_is_as_old_as_its_folder(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "exp" / "a")
    run.path.mkdir(parents=True)
    run.record.write_text("{")
    assert abs(creation_time(run) - datetime.now(UTC)) < timedelta(minutes=5)


def test_the_bytes_of_a_folder_are_those_of_its_files_and_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 10_000)
    (tmp_path / "run" / "deep").mkdir(parents=True)
    (tmp_path / "run" / "deep" / "file").write_bytes(b"x" * 100)
    (tmp_path / "run" / "link").symlink_to(tmp_path / "big")
    assert folder_size(tmp_path / "run") == 100
