"""Promotion by hand, and the way back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.listener import Listener
from tests.runs.records import COMPLETED
from transfercli.errors import ArtefactError, BusyError, UsageError
from transfercli.runs import champions, decisions
from transfercli.runs.lock import experiment_lock
from transfercli.workflows.retrain.promote import PromoteRequest, promote


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A runs folder with the experiment `exp` of two completed runs and a link to the second."""
    for run_id in ("a", "b"):
        folder = tmp_path / "exp" / run_id
        (folder / "checkpoints" / "epoch-00001").mkdir(parents=True)
        (folder / "checkpoints" / "last").symlink_to("epoch-00001")
        (folder / "run.json").write_text(json.dumps(COMPLETED))
    (tmp_path / "exp" / "latest").symlink_to("b")
    return tmp_path


def test_a_run_that_is_named_by_a_link_is_promoted_itself(runs: Path) -> None:
    promote(PromoteRequest(str(runs / "exp" / "latest"), None, runs), Listener())
    assert champions.champion_of(runs / "exp").run_id == "b"


def test_every_change_is_logged_and_the_champion_of_today_changes_nothing(runs: Path) -> None:
    listener = Listener()
    for name in ("exp/a", "exp/b", "exp/b"):
        promote(PromoteRequest(name, None, runs), listener)
    promote(PromoteRequest(None, "exp", runs), listener)
    assert [(one.decision, one.champion) for one in decisions.read(runs / "exp")] == [
        ("by hand", "a"),
        ("by hand", "b"),
        ("rolled back", "a"),
    ]
    assert listener.infos == ["exp/b is the champion already"]


@pytest.mark.parametrize(
    "run, previous, error",
    [
        (None, None, UsageError),
        ("exp/a", "exp", UsageError),
        (None, "gone", ArtefactError),
        (None, "exp", ArtefactError),
    ],
)
def test_what_cannot_be_promoted_is_refused(runs: Path, run: str, previous: str, error: type) -> None:
    with pytest.raises(error):
        promote(PromoteRequest(run, previous, runs), Listener())
    assert decisions.read(runs / "exp") == []


def test_a_busy_experiment_is_left_alone(runs: Path) -> None:
    with experiment_lock(runs / "exp"), pytest.raises(BusyError):
        promote(PromoteRequest("exp/a", None, runs), Listener())
