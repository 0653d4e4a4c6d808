"""Promotion by hand, and the way back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.listener import Listener
from tests.runs.records import COMPLETED
from transfercli.errors import ArtefactError, BusyError, UsageError
from transfercli.runs import champions, decisions
from transfercli.runs.decisions import Decision
from transfercli.runs.folder import RunFolder
from transfercli.runs.lock import experiment_lock
from transfercli.workflows.retrain.champion_figures import stored_figure
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


def log_comparison(runs: Path, word: str, champion: str, challenger: str, gain: float, **more: object) -> None:
    compared = {"metric": "accuracy", "champion": 0.95, "challenger": 0.95 + gain, "gain": gain, "images": 177}
    facts = {"comparison": compared | {"interval": [gain - 0.05, gain + 0.05]} | more}
    decisions.append(runs / "exp", Decision(word, "", champion, challenger, facts=facts, time="2026-11-01T03:00:00Z"))


def test_a_champion_that_was_significantly_worse_is_a_warning_with_the_way_back(runs: Path) -> None:
    listener = Listener()
    promote(PromoteRequest("exp/a", None, runs), listener)
    log_comparison(runs, "rejected", "a", "b", -0.575)
    result = promote(PromoteRequest("exp/b", None, runs), listener).as_json()
    assert result["worse"] is True
    assert result["comparison"]["gain"] == -0.575
    [warning] = listener.warnings
    assert warning == (
        "exp/b is significantly worse than exp/a, the champion before: accuracy 0.3750 against 0.9500 on 177 test"
        f" images, gain -0.5750 (-0.6250 to -0.5250), compared on 2026-11-01; to undo: transfercli promote {runs}/exp/a"
    )
    assert decisions.read(runs / "exp")[-1].facts["worse"] is True
    back = promote(PromoteRequest(None, "exp", runs), listener).as_json()
    assert (back["worse"], back["comparison"]["gain"]) == (False, 0.575)
    assert back["comparison"]["interval"] == pytest.approx([0.525, 0.625])
    assert len(listener.warnings) == 1


def test_the_comparison_of_a_promotion_is_seen_from_the_champion_that_is_restored(runs: Path) -> None:
    listener = Listener()
    promote(PromoteRequest("exp/a", None, runs), listener)
    log_comparison(runs, "promoted", "b", "b", 0.04, interval=[0.01, 0.07])
    champions.apply_last_promotion(runs / "exp")
    result = promote(PromoteRequest(None, "exp", runs), listener).as_json()
    assert (result["comparison"]["champion"], result["comparison"]["previous"]) == (0.95, 0.99)
    assert (result["comparison"]["interval"], result["worse"]) == ([-0.07, -0.01], True)
    assert len(listener.warnings) == 1


@pytest.mark.parametrize("accuracy, interval, worse", [(0.375, [0.3, 0.45], True), (0.9, [0.85, 0.94], False)])
def test_runs_that_were_never_compared_are_judged_by_their_own_test_images(
    runs: Path, accuracy: float, interval: list[float], worse: bool
) -> None:
    for run_id, value, bounds in (("a", accuracy, interval), ("b", 0.95, [0.92, 0.97])):
        folder = RunFolder(runs / "exp" / run_id).evaluation("test")
        folder.mkdir(parents=True)
        content = {"examples": 177, "metrics": {"accuracy": value}, "intervals": {"accuracy": bounds}}
        (folder / "metrics.json").write_text(json.dumps(content))
    listener = Listener()
    promote(PromoteRequest("exp/b", None, runs), listener)
    result = promote(PromoteRequest("exp/a", None, runs), listener)
    assert result.figures is not None
    assert result.figures.champion == {"value": accuracy, "interval": interval, "images": 177}
    assert f"accuracy of the champion {accuracy:.4f} (177 test images, " in result.figures.text
    assert (result.figures.worse, len(listener.warnings)) == (worse, worse)


@pytest.mark.parametrize("content", ["", "[]", '{"metrics": 1}', '{"metrics": {"accuracy": null}, "examples": 1}'])
def test_a_damaged_evaluation_has_no_figure(runs: Path, content: str) -> None:
    run = RunFolder(runs / "exp" / "a")
    run.evaluation("test").mkdir(parents=True)
    (run.evaluation("test") / "metrics.json").write_text(content)
    assert stored_figure(run, "accuracy") is None
