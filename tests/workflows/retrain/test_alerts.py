"""Alerts about the champion and the data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from transfercli.config.schema import AlertConfig
from transfercli.runs.decisions import Decision
from transfercli.workflows.retrain.alerts import (
    Alert,
    dated_alerts,
    drift_alert,
    held_alerts,
    listed_contents,
    logged_alerts,
    reported_alerts,
    standing_alerts,
    unknown_classes_alert,
)
from transfercli.workflows.retrain.lost_images import Loss, lost_images_alert
from transfercli.workflows.retrain.watched_images import AnsweredImage, Window, champion_fell, labels_contradict

RUN = "exp/a"


def answered(images: int, wrong: int, **more: Any) -> list[AnsweredImage]:
    """Images of one class; both models are wrong about the first ones."""
    more = {"label": "boot", "challenger_wrong": None} | more
    held_out = more.pop("held_out", True)
    return [
        AnsweredImage(**more | {"champion_wrong": n < wrong, "challenger_wrong": n < wrong if held_out else None})
        for n in range(images)
    ]


def logged(*alerts: Alert) -> Decision:
    return Decision("kept", "", "a", facts={"alerts": [alert.as_json() for alert in alerts]}, time="2026-11-02T03:00Z")


def test_a_champion_that_fell_is_an_alert_with_both_figures() -> None:
    alert = champion_fell([Window("a", answered(108, 56), answered(177, 9), 0.001)], RUN)
    assert alert is not None
    assert alert.figures["accuracy"] == 52 / 108
    assert alert.figures["earlier_accuracy"] == alert.figures["expected"] == 168 / 177
    assert alert.figures["earlier_interval"] == pytest.approx([0.906, 0.973], abs=0.001)
    assert "accuracy is 0.4815 on 108 test images added since run a, 0.9492 was expected" in alert.message


@pytest.mark.parametrize("images, wrong", [(108, 6), (20, 4), (0, 0)])
def test_errors_that_chance_explains_are_no_alert(images: int, wrong: int) -> None:
    assert champion_fell([Window("a", answered(images, wrong), answered(177, 9), 0.001)], RUN) is None


def test_the_window_that_shows_the_fall_is_named() -> None:
    diluted = Window("a", answered(1000, 52), answered(177, 9), 0.0005)
    sudden = Window("c", answered(40, 20), answered(1137, 41), 0.0005)
    alert = champion_fell([diluted, sudden], RUN)
    assert alert is not None
    assert alert.figures["added_since"] == "c"


def test_a_batch_of_wrong_labels_is_named_by_its_folder_and_day() -> None:
    poisoned = answered(60, 40, folder="new/boot", day="2026-11-01", held_out=False)
    poisoned += answered(20, 13, folder="new/boot", day="2026-11-01")
    others = [image for n in range(5) for image in answered(100, 4, folder=f"old{n}", day="2026-10-05")]
    alert = labels_contradict([*poisoned, *others], answered(200, 8), RUN, 0.001)
    assert alert is not None
    assert alert.figures["days"] == ["2026-11-01", "2026-11-01"]
    assert (alert.figures["folder"], alert.figures["images"], alert.figures["contradictions"]) == ("new/boot", 80, 53)
    assert (alert.figures["held_out"], alert.figures["held_out_contradictions"]) == (20, 13)
    assert (
        "labels of 53 of 80 new images under 'new/boot', of 2026-11-01 contradict the champion (usual: 4.0%);"
        " 13 of the 20 that no model learnt from contradict both" in alert.message
    )


def test_a_batch_in_folders_of_many_classes_is_named_by_the_folder_that_they_share() -> None:
    new = [image for n in range(5) for image in answered(16, 8, label=f"c{n}", folder=f"c{n}/bad", source="bad")]
    new += [image for n in range(5) for image in answered(80, 2, label=f"c{n}", folder=f"c{n}/old", source="old")]
    earlier = [image for n in range(5) for image in answered(100, 3, label=f"c{n}")]
    alert = labels_contradict(new, earlier, RUN, 0.001)
    assert alert is not None
    assert (alert.figures["folder"], alert.figures["folders"], alert.figures["images"]) == ("bad", 5, 80)
    assert "the labels of 40 of 80 new images under 'bad' of 5 folders contradict" in alert.message


def test_the_message_about_labels_shows_examples_and_names_the_list() -> None:
    def said(wrong: int) -> Alert:
        new = [AnsweredImage("boot", n < wrong, path=f"boot/{n}.png", sha256=f"f{n}") for n in range(1600)]
        alert = labels_contradict(new, answered(200, 0), RUN, 0.001)
        assert alert is not None
        return alert

    assert said(1200).message.endswith(
        "check these labels: 'boot/0.png', 'boot/1.png', …; decisions.jsonl and --json list the first 1000"
    )
    alert = said(300)
    assert alert.message.endswith("…; decisions.jsonl and --json list all")
    assert (len(alert.figures["listed"]), alert.figures["files"][299]) == (300, "f299")


@pytest.mark.parametrize("files", [None, "x", [1], []])
def test_damaged_lists_of_images_are_left_out(files: Any) -> None:
    alert = Alert("labels_contradict", "wrong", {"listed": [["a.png", "boot"], 1], "files": ["fa", "fb"]})
    assert listed_contents(logged(alert)) == {("fa", "boot")}
    assert listed_contents(logged(replace(alert, figures=alert.figures | {"files": files}))) == set()


def test_a_day_of_random_labels_is_found_over_all_folders() -> None:
    new = [image for n in range(5) for image in answered(12, 5, folder=f"c{n}", day="2026-11-01", held_out=False)]
    new += [image for n in range(5) for image in answered(80, 3, folder=f"c{n}", day="2026-10-01", held_out=False)]
    alert = labels_contradict(new, answered(200, 8), RUN, 0.001)
    assert alert is not None
    assert alert.figures["days"] == ["2026-11-01"] * 2
    assert alert.figures["folder"] is None
    assert "in 5 folders" in alert.message


def test_images_that_a_challenger_learns_to_answer_have_no_wrong_labels() -> None:
    """Images of a new camera: the champion is wrong, and the challenger is right about those it has not seen."""
    new = answered(60, 30, held_out=False)
    new += [AnsweredImage("boot", n < 10, False) for n in range(20)]
    assert labels_contradict(new, answered(200, 8), RUN, 0.001) is None


def test_usual_contradictions_are_no_alert() -> None:
    assert labels_contradict(answered(500, 20, folder="x"), answered(200, 8), RUN, 0.001) is None
    assert labels_contradict([], answered(200, 8), RUN, 0.001) is None
    assert labels_contradict(answered(50, 40), [], RUN, 0.001) is None


def test_errors_of_one_subject_are_one_observation() -> None:
    earlier = [image for n in range(20) for image in answered(10, 10 * (n in (3, 7)), group=f"s{n}")]
    one = answered(10, 10, group="new") + [image for n in range(4) for image in answered(10, 0, group=f"n{n}")]
    assert champion_fell([Window("a", one, earlier, 0.01)], RUN) is None
    many = [image for n in range(12) for image in answered(10, 9, group=f"n{n}")]
    assert champion_fell([Window("a", many, earlier, 0.01)], RUN) is not None
    assert labels_contradict(many, earlier, RUN, 0.01) is not None


def test_a_class_that_the_champion_cannot_answer() -> None:
    alert = unknown_classes_alert(RUN, ("5", "6"), {"5": 40, "6": 0, "7": 60, "8": 0})
    assert alert is not None
    assert alert.figures == {"run": RUN, "classes": ["7"], "images": 60}
    assert "the champion exp/a cannot answer 1 class, '7': it is wrong about each of 60 images" in alert.message
    assert unknown_classes_alert(RUN, ("5", "6"), {"5": 40, "8": 0}) is None


def test_lost_images_keep_their_words() -> None:
    loss = Loss({"a": 60, "c": 60}, {"a": 60}, 120)
    alert = lost_images_alert(loss)
    assert alert is not None
    assert alert.as_json() == {"kind": "images_lost", "message": loss.text, "since": "", **loss.as_json()}
    assert lost_images_alert(None) is None


def test_a_drift_must_be_surer_than_the_one_that_starts_a_training() -> None:
    drift = {"drifted": True, "images": 60, "score": 0.4, "tests": {"mmd": {"p_value": 0.001}, "x": {"p_value": 0.3}}}
    alert = drift_alert(drift, RUN, 0.001)
    assert alert is not None
    assert alert.figures == {"run": RUN, "images": 60, "score": 0.4, "p_value": 0.002}
    assert drift_alert(drift | {"tests": {"mmd": {"p_value": 0.01}}}, RUN, 0.001) is None
    assert drift_alert(drift | {"drifted": False}, RUN, 0.001) is None
    assert drift_alert(drift | {"tests": {}}, RUN, 0.001) is None
    assert drift_alert(None, RUN, 0.001) is None


FELL = Alert("champion_fell", "it fell", {"run": RUN, "added_since": "a"}, "2026-11-01T03:00Z")
LABELS = Alert("labels_contradict", "wrong", {"run": RUN, "folder": "new"}, "2026-11-01T03:00Z")
CLASSES = Alert("class_without_row", "no row", {"run": RUN, "classes": ["7"]}, "2026-11-01T03:00Z")


def test_an_unchanged_night_repeats_what_still_holds() -> None:
    last = logged(FELL, LABELS, CLASSES)
    assert logged_alerts(last) == [FELL, LABELS, CLASSES]
    assert standing_alerts(last, RUN) == [FELL, LABELS]  # the others are looked for again, without a model
    assert standing_alerts(last, "exp/b") == [LABELS]  # another champion, the same images
    assert standing_alerts(None, RUN) == []


@pytest.mark.parametrize("damaged", [None, "x", ["x", {"kind": 1}, {"kind": "later", "message": "", "since": ""}]])
def test_alerts_in_a_damaged_or_newer_log_are_left_out(damaged: Any) -> None:
    assert logged_alerts(Decision("kept", "", "a", facts={"alerts": damaged})) == []


def test_an_alert_keeps_the_day_of_its_first_report() -> None:
    found = [Alert("champion_fell", "it fell", {"run": RUN}), Alert("labels_contradict", "wrong", {"folder": "other"})]
    first, second = dated_alerts(found, AlertConfig(), logged(FELL, LABELS), "2026-11-03T03:00Z")
    assert (first.since, second.since) == ("2026-11-01T03:00Z", "2026-11-03T03:00Z")
    assert first.text == "it fell (alert champion_fell, since 2026-11-01)"


def test_labels_that_a_new_champion_learnt_stay_an_alert_until_half_of_them_are_mended() -> None:
    listed = [[f"new/{n}.png", "boot"] for n in range(10)]
    last = logged(Alert("labels_contradict", "wrong", {"run": RUN, "folder": "new", "listed": listed}), FELL)
    images = {(path, label) for path, label in listed}
    assert [alert.kind for alert in held_alerts(last, "exp/b", images)] == ["labels_contradict"]
    assert held_alerts(last, RUN, images) == []  # it is looked for again
    mended = {(path, "shoe" if int(path[4]) < 5 else label) for path, label in images}
    assert held_alerts(last, "exp/b", mended) == []
    for damaged in (None, "x", [1, ["x"], [["a"], "b"], []]):
        alert = Alert("labels_contradict", "wrong", {"run": RUN, "listed": damaged})
        assert held_alerts(logged(alert), "exp/b", images) == []


def test_an_alert_can_be_accepted_and_a_later_one_is_reported() -> None:
    rule = AlertConfig(accepted_until="2026-11-02")
    found = [FELL, LABELS, CLASSES, Alert("images_lost", "gone", {})]
    accepted = logged(*dated_alerts(found, rule, logged(FELL, LABELS), "2026-11-03T03:00Z"))
    assert [alert.kind for alert in reported_alerts(accepted)] == ["class_without_row", "images_lost"]
    again = logged(*dated_alerts(found, rule, accepted, "2026-11-04T03:00Z"))
    assert [alert.accepted for alert in logged_alerts(again)] == [True, True, False, False]


@pytest.mark.parametrize("kind", ["champion_fell", "class_without_row", "images_lost", "labels_contradict", "drift"])
def test_every_kind_can_be_turned_off(kind: str) -> None:
    found = [Alert(kind, "", {})]
    assert len(dated_alerts(found, AlertConfig(), None, "now")) == 1
    assert dated_alerts(found, AlertConfig(**{kind: False}), None, "now") == []


def test_a_year_without_a_fault_has_next_to_no_alert() -> None:
    """Four new test images a night, champion unchanged; benchmarks/alerts.py has more of it."""
    rng, nights, alarms = np.random.default_rng(0), 200, 0
    earlier = [AnsweredImage(str(n % 3), bool(rng.random() < 0.1), False) for n in range(200)]
    new: list[AnsweredImage] = []
    for _ in range(nights):
        today = [AnsweredImage(str(n % 3), bool(rng.random() < 0.1), False) for n in range(4)]
        windows = [Window("a", [*new, *today], earlier, 0.0005), Window("b", today, [*earlier, *new], 0.0005)]
        new += today
        alarms += champion_fell(windows, RUN) is not None
    assert alarms <= 1
