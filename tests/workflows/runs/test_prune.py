"""What `runs prune` removes, and what it must never remove."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.runs.records import COMPLETED
from transfercli.errors import ArtefactError, BusyError, UsageError
from transfercli.io import atomic
from transfercli.reporting import Reporter
from transfercli.runs import champions
from transfercli.runs.decisions import Decision
from transfercli.runs.listing import all_runs
from transfercli.runs.lock import experiment_lock
from transfercli.workflows.runs import prune as module
from transfercli.workflows.runs.prune import PruneRequest, prune


def make(runs: Path, label: str, age: int, parent: str | None = None) -> None:
    folder = runs / label
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "model").write_bytes(b"x" * 1000)
    created = (datetime.now(UTC) - timedelta(days=age)).isoformat()
    (folder / "run.json").write_text(json.dumps(COMPLETED | {"created": created, "parent": parent}))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Six runs of experiment e, a the oldest, and one of experiment base that none of them came from."""
    for number, name in enumerate("abcdef"):
        make(tmp_path, f"e/{name}", age=60 - 10 * number)
    make(tmp_path, "base/old", age=100)
    make(tmp_path, "base/new", age=90)
    return tmp_path


def crown(runs: Path, run_id: str) -> None:
    champions.promote_run(runs / "e", Decision("promoted", "better", run_id, run_id))


def names(paths: list[str]) -> list[str]:
    return ["/".join(Path(path).parts[-2:]) for path in paths]


def pruned(runs: Path, *experiments: str, **rule: Any) -> dict[str, Any]:
    return prune(PruneRequest(runs, experiments, **rule), Reporter()).as_json()


def test_the_newest_and_the_young_stay(runs: Path) -> None:
    result = pruned(runs, "e", last=1, days=25)
    assert names(result["removed"]) == ["e/a", "e/b", "e/c", "e/d"]
    assert [one["why"] for one in result["kept"]] == ["younger than 25 days", "latest"]
    assert result["bytes"] > 4000
    assert [run.label for run in all_runs(runs)] == ["base/new", "base/old", "e/e", "e/f"]
    json.dumps(result)


def test_champions_the_one_before_ancestors_and_latest_stay(runs: Path) -> None:
    facts = json.loads((runs / "e" / "d" / "run.json").read_text())
    (runs / "e" / "d" / "run.json").write_text(json.dumps(facts | {"parent": "base/old"}))
    crown(runs, "b")
    crown(runs, "d")
    atomic.replace_symlink(runs / "e" / "latest", "c")
    result = pruned(runs, last=0)
    assert {"/".join(Path(one["run"]).parts[-2:]): one["why"] for one in result["kept"]} == {
        "base/new": "latest",
        "base/old": "ancestor of e/d",
        "e/b": "previous champion, for promote --previous",
        "e/c": "latest",
        "e/d": "champion",
    }
    assert names(result["removed"]) == ["e/a", "e/e", "e/f"]
    assert champions.previous_champion(runs / "e").run_id == "b"


def test_a_champion_is_kept_without_a_log_and_a_logged_one_without_its_link(runs: Path) -> None:
    atomic.replace_symlink(runs / "base" / "champion", "old")
    crown(runs, "a")
    (runs / "e" / "champion").unlink()
    assert names([one["run"] for one in pruned(runs, last=0)["kept"]]) == ["base/new", "base/old", "e/a", "e/f"]


def test_a_dry_run_removes_nothing_and_takes_no_lock(runs: Path) -> None:
    with experiment_lock(runs / "e"):
        wanted = pruned(runs, last=2, dry_run=True)
        assert len(all_runs(runs)) == 8
        with pytest.raises(BusyError):
            pruned(runs, "e", last=2)
    assert len(all_runs(runs)) == 8
    assert pruned(runs, last=2) == wanted | {"dry_run": False}


def test_an_experiment_that_is_busy_is_passed_over_unless_it_was_named(runs: Path) -> None:
    with experiment_lock(runs / "e"):
        result = pruned(runs, last=1)
    assert names(result["removed"]) == ["base/old"]
    assert {one["why"] for one in result["kept"] if "/e/" in one["run"]} == {module.RUNNING, "latest"}


def test_a_dry_run_keeps_what_is_running_and_not_what_a_killed_process_left(runs: Path) -> None:
    with experiment_lock(runs / "e"):
        (runs / "e" / "a" / "run.json").write_text(json.dumps({"status": "running", "created": "2020-01-01T00:00:00Z"}))
        result = pruned(runs, "e", last=1, dry_run=True)
    assert names(result["removed"]) == ["e/b", "e/c", "e/d", "e/e"]
    assert names(pruned(runs, "e", last=1, dry_run=True)["removed"]) == ["e/a", "e/b", "e/c", "e/d", "e/e"]


def test_what_a_killed_prune_left_is_no_run_and_goes_with_the_next(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(place: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            pruned(runs, "e", last=5)
    assert [run.run_id for run in all_runs(runs) if run.experiment == "e"] == list("bcdef")
    assert list((runs / "e").glob(".pruned-*"))
    assert pruned(runs, last=5)["removed"] == []
    assert not list((runs / "e").glob(".pruned-*"))


def test_what_cannot_be_asked_is_refused(runs: Path) -> None:
    with pytest.raises(UsageError, match="keep-last"):
        pruned(runs)
    with pytest.raises(ArtefactError, match="no experiment"):
        pruned(runs, "other", last=1)
