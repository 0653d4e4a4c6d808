"""Images that are gone since an earlier night."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.workflows.retrain.nights import Nights, write_config
from transfercli.data.dataset import Record
from transfercli.errors import DataError
from transfercli.runs import decisions
from transfercli.runs.decisions import Decision
from transfercli.workflows.retrain import retrain
from transfercli.workflows.retrain.lost_images import Loss, counts_before

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
    assert not Loss(before, {"a": 45, "b": 45}).is_large
    assert Loss(before, {"a": 50, "b": 39}).is_large
    assert not Loss(before, {"a": 10, "b": 90}).is_large  # labels were changed, and nothing is gone
    assert Loss(before, {"a": 0, "c": 90}).classes == ["a", "b"]
    assert not Loss({}, before).is_large


def test_the_reference_is_the_night_before_a_loss_that_is_still_there() -> None:
    def night(**facts: Any) -> Decision:
        return Decision("unchanged", "", None, facts=facts)

    records = [Record("1", "x", "a", "train"), Record("2", "y", "a", ""), Record("3", "z", "b", "test")]
    assert counts_before([], records) == {"a": 1, "b": 1}
    assert counts_before([night(images={"a": 5}), night(), night(images="damaged")], records) == {"a": 5}
    assert counts_before([night(images={"a": 3}, images_before={"a": 9})], records) == {"a": 9}
