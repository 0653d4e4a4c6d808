"""The champion is watched, on nights of real digits."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.retrain.nights import Nights, write_config
from transfercli.runs import decisions
from transfercli.workflows.retrain import retrain as module
from transfercli.workflows.retrain.results import Alerted
from transfercli.workflows.retrain.retrain import retrain
from transfercli.workflows.retrain.state import RetrainRequest

NOVEMBER = 1793500000  # seconds; 2026-11-01


def add_wrong_labels(nights: Nights) -> None:
    """Forty images of each class, in the folder of another one, all of one day."""
    before = set(nights.images.glob("*/*"))
    for label, source in (("5", "6"), ("6", "7"), ("7", "5")):
        nights.add(label, 40, 80, source)
    for image in set(nights.images.glob("*/*")) - before:
        os.utime(image, (NOVEMBER, NOVEMBER))


def kinds(result: dict[str, Any]) -> list[str]:
    return [alert["kind"] for alert in result["alerts"]]


@pytest.mark.slow
def test_a_batch_of_wrong_labels_is_an_alert_every_night_until_it_is_gone(
    nights: Nights, source: Any, tmp_path: Path
) -> None:
    sent, summary = tmp_path / "sent.json", tmp_path / "summary.md"
    code = f"import sys; open({str(sent)!r}, 'w').write(sys.stdin.read())"
    rule: dict[str, Any] = {"on_decision": [sys.executable, "-c", code]}
    write_config(nights, source[1]["run"], retrain=rule)
    first = nights.night(hooks=True)
    assert first["alerts"] == json.loads(sent.read_text())["alerts"] == []
    champion = f"nightly/{Path(first['champion']).name}"
    add_wrong_labels(nights)
    result = nights.night(hooks=True, summary=summary)
    assert kinds(result) == ["champion_fell", "labels_contradict"]
    fell, labels = result["alerts"]
    assert fell["run"] == labels["run"] == champion
    assert fell["accuracy"] < fell["earlier_interval"][0]
    assert labels["images"] == result["changes"]["added"] == 120
    assert labels["contradictions"] > 100
    assert labels["days"] == ["2026-11-01", "2026-11-01"]
    assert json.loads(sent.read_text())["alerts"] == result["alerts"]
    assert "**Alert labels_contradict**, since 20" in summary.read_text()
    assert decisions.read(nights.experiment)[-1].facts["alerts"] == result["alerts"]
    assert sum("(alert labels_contradict, since 20" in text for text in nights.reporter.warnings) == 1

    write_config(nights, source[1]["run"], retrain=rule | {"alert": {"exit": 5}})
    with pytest.raises(Alerted, match="labels_contradict") as caught:
        retrain(RetrainRequest(nights.config, nights.runs), nights.reporter)
    assert caught.value.result.decision == "unchanged"  # a decision does not depend on alerts
    assert labels in caught.value.result.alerts
    day = caught.value.result.time[:10]
    write_config(nights, source[1]["run"], retrain=rule | {"alert": {"exit": 5, "accepted_until": day}})
    assert (kinds(nights.night()), nights.words[-1]) == ([], "unchanged")


def test_a_class_that_the_champion_cannot_answer_is_an_alert_until_it_can(
    nights: Nights, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = nights.night()
    monkeypatch.setattr(module, "train_and_compare", lambda state, _: state.decision("kept", "trained, no gain"))
    nights.add("8", 0, 30)
    for word in ("kept", "unchanged"):
        nights.reporter.warnings.clear()
        [alert] = nights.night()["alerts"]
        assert nights.words[-1] == word
        assert (alert["kind"], alert["classes"], alert["images"]) == ("class_without_row", ["8"], 30)
        assert alert["run"] == f"nightly/{Path(first['champion']).name}"
        assert any("cannot answer 1 class, '8'" in text for text in nights.reporter.warnings)
    write_config(nights, source[1]["run"], retrain={"alert": {"class_without_row": False}})
    nights.reporter.warnings.clear()
    assert (nights.night()["alerts"], nights.words[-1], nights.reporter.warnings) == ([], "unchanged", [])


@pytest.mark.slow
def test_the_champion_is_watched_also_if_only_drift_starts_a_training(
    nights: Nights, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfercli.workflows.data import drift

    write_config(nights, source[1]["run"], retrain={"when": "drifted"})
    nights.night()
    add_wrong_labels(nights)
    monkeypatch.setattr(drift, "drift_since", lambda *_: {"drifted": False, "images": 120, "score": 0.0, "tests": {}})
    result = nights.night()
    assert (result["decision"], result["challenger"]) == ("unchanged", None)
    assert kinds(result) == ["champion_fell", "labels_contradict"]
    assert result["alerts"][1]["held_out"] == 0  # there is no challenger


@pytest.mark.slow
def test_good_images_are_no_alert(nights: Nights) -> None:
    nights.night()
    for last in (50, 60):
        for label in "567":
            nights.add(label, last - 10, last)
        assert nights.night()["alerts"] == []
