"""Images that are gone since an earlier night."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.workflows.retrain.nights import Nights, write_config
from transfercli.config.schema import ExpectConfig
from transfercli.data.dataset import Record
from transfercli.data.manifest import write_manifest
from transfercli.errors import DataError
from transfercli.runs import decisions
from transfercli.runs.decisions import Decision
from transfercli.runs.folder import RunFolder
from transfercli.workflows.retrain import retrain
from transfercli.workflows.retrain.lost_images import Loss, counts_before, find_loss, most_before
from transfercli.workflows.stored_run import StoredRun

DATA = {"train": "images", "validation": 0.2, "test": 0.3, "image_size": 32}


def test_a_lost_class_is_a_warning_every_night_until_it_is_back_or_expected(
    nights: Nights, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrain, "train_and_compare", lambda state, _: state.decision("kept", "trained, no gain"))
    assert "lost" not in nights.night()
    away = nights.images.parent / "away"
    shutil.move(nights.images / "7", away)
    for _ in range(3):
        nights.reporter.warnings.clear()
        result = nights.night()
        assert result["lost"] == {"classes": ["7"], "images": 40, "before": 120}
        [warning] = [text for text in nights.reporter.warnings if "gone" in text]
        assert "1 of 3 classes ('7') and 40 of 120 images are gone" in warning
        assert "data.expect: {min_images: 80, classes: ['5', '6']}" in warning
    assert nights.words == ["kept", "kept", "unchanged", "unchanged"]
    write_config(nights, source[1]["run"], data=DATA | {"expect": {"min_images": 80, "classes": ["5", "6"]}})
    nights.reporter.warnings.clear()
    assert "lost" not in nights.night()
    write_config(nights, source[1]["run"])
    assert "lost" not in nights.night()
    assert not any("gone" in text for text in nights.reporter.warnings)


@pytest.mark.parametrize(
    "expect, said",
    [
        ({"min_images": 121}, "data.expect.min_images is 121, but there are 120 usable images"),
        ({"classes": ["5", "6", "7", "8"]}, "1 of 4 classes have no usable image: '8'"),
        ({"classes": 4}, "data.expect.classes is 4, but there are 3 classes with usable images"),
    ],
)
def test_fewer_images_than_expected_fail_the_night(nights: Nights, source: Any, expect: Any, said: str) -> None:
    write_config(nights, source[1]["run"], data=DATA | {"expect": expect})
    with pytest.raises(DataError) as caught:
        nights.night()
    assert said in caught.value.message
    assert [decision.decision for decision in decisions.read(nights.experiment)] == ["failed"]


def test_a_tenth_of_the_images_may_go_and_more_may_not() -> None:
    before = {"a": 50, "b": 50}
    assert not Loss(before, {"a": 45, "b": 45}, 100).is_large
    assert Loss(before, {"a": 50, "b": 39}, 100).is_large
    assert not Loss(before, {"a": 10, "b": 90}, 100).is_large  # labels were changed, and nothing is gone
    assert Loss(before, {"a": 0, "c": 90}, 100).classes == ["a", "b"]
    assert not Loss({}, before, 0).is_large
    renamed = Loss({"a": 50, "b": 50}, {"a": 50, "bee": 50}, 100)
    assert (renamed.is_large, renamed.classes, renamed.images) == (True, ["b"], 0)
    assert "1 of 2 classes ('b') are gone that were there on an earlier night, while 'bee' came: " in renamed.text


def night(**facts: Any) -> Decision:
    return Decision("unchanged", "", None, facts=facts)


def images(**counts: int) -> list[Record]:
    """Records of as many images of each class."""
    return [Record(f"{label}{n}", "x", label, "train") for label, count in counts.items() for n in range(count)]


def test_the_reference_is_the_night_before_a_loss_that_is_still_there() -> None:
    records = [Record("1", "x", "a", "train"), Record("2", "y", "a", ""), Record("3", "z", "b", "test")]
    assert counts_before([], records, set()) == {"a": 1, "b": 1}
    assert counts_before([night(images={"a": 5}), night(), night(images="damaged")], records, set()) == {"a": 5}
    assert counts_before([night(images={"a": 3}, images_before={"a": 9})], records, set()) == {"a": 9}


def test_class_names_in_the_log_of_an_earlier_version_are_normalised() -> None:
    log = [night(images={"the ": 5, "cafe\u0301": 6})]
    assert counts_before(log, [], set()) == {"the": 5, "caf\u00e9": 6}
    now = [Record(f"{label}{n}", "x", label, "train") for label in ("the", "caf\u00e9") for n in range(6)]
    assert find_loss(None, now, log, []) is None


def test_a_champion_of_an_earlier_version_has_the_classes_of_the_images(tmp_path: Path) -> None:
    champion = RunFolder(tmp_path)
    champion.labels.write_text('["the ", "cafe\u0301"]')
    write_manifest(champion.dataset, [Record("1", "x", "the ", "train"), Record("2", "y", "cafe\u0301", "test")])
    now = [Record("1", "x", "the", "train"), Record("2", "y", "caf\u00e9", "test")]
    dataset = SimpleNamespace(records=now, labels=("caf\u00e9", "the"))
    changes = retrain.image_changes(SimpleNamespace(champion=StoredRun(champion), dataset=dataset, several=False))
    assert not any(changes.values())


def test_small_losses_of_many_nights_add_up() -> None:
    champion, log, warned = images(a=500, b=500), [night(images={"a": 500, "b": 500})], []
    for number in (910, 830, 760, 950):
        now = {"a": number - 400, "b": 400}
        warned.append(find_loss(None, images(**now), log, champion) is not None)
        log.append(night(images=now))
        champion = images(**now)  # each night's challenger is promoted
    assert warned == [False, True, True, False]
    assert most_before(log, champion, set()) == 1000
    accepted = [*log, night(images={"a": 200}, images_expected=True), night(images={"a": 210})]
    assert most_before(accepted, champion, set()) == 210
    assert most_before([], champion, set()) == 950


@pytest.mark.parametrize(
    "expect, warned",
    [
        ({}, (True, True)),
        ({"min_images": 1}, (True, False)),
        ({"classes": 2}, (False, True)),
        ({"min_images": 1, "classes": ["a", "b"]}, (False, False)),
    ],
    ids=["nothing", "a number", "classes", "both"],
)
def test_each_key_of_expect_ends_its_own_warning(expect: dict[str, Any], warned: tuple[bool, bool]) -> None:
    expected, log = ExpectConfig(**expect), [night(images={"a": 40, "b": 40, "c": 2})]
    lost_class, fewer = images(a=40, b=40), images(a=20, b=20, c=1)
    assert tuple(find_loss(expected, now, log, ()) is not None for now in (lost_class, fewer)) == warned
    if loss := find_loss(expected, images(a=20, b=20), log, ()):
        assert loss.images in (2, 42)  # of the lost class, or of all
        assert loss.as_json()["before"] == 82


def test_images_that_an_alert_about_labels_listed_may_go_and_others_may_not() -> None:
    good = [Record(f"{n}", f"f{n}", "a", "train") for n in range(1000)]
    wrong = [Record(f"w{n}", f"w{n}", "b", "train") for n in range(200)]
    alert = {
        "kind": "labels_contradict",
        "message": "",
        "since": "",
        "listed": [[record.path, "b"] for record in wrong],
        "files": [record.sha256 for record in wrong],
    }
    log = [night(images={"a": 1000}), night(images={"a": 1000, "b": 200}, alerts=[alert])]
    for champion in (good, [*good, *wrong]):  # also one that learnt the wrong labels
        assert find_loss(None, good, log, champion) is None
        assert find_loss(None, good, [*log, night(images={"a": 1000})], champion) is None
        mended = [replace(record, label="a") for record in wrong]
        assert find_loss(None, [*good, *mended], log, champion) is None
        assert find_loss(None, [*good[150:], *mended], log, champion) is not None
        loss = find_loss(None, good[150:], log, champion)
        assert loss is not None
        assert (loss.images, loss.total, loss.classes) == (150, 1000, [])
    unlisted = [log[0], night(images=log[1].facts["images"], alerts=[alert | {"files": "damaged"}])]
    assert find_loss(None, good, unlisted, good) is not None
