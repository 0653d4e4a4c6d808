"""The card of an artefact: input, labels, temperature, abstention."""

from __future__ import annotations

import json

import pytest

from transfercli.data.image import NO_BACKGROUND
from transfercli.errors import ArtefactError
from transfercli.export.spec import ExportSpec, LabelDecisions, card_text, parse_card


@pytest.mark.parametrize(
    "changed",
    [
        {"labels": ["one"]},
        {"labels": [1, 2]},
        {"temperature": 0},
        {"temperature": "NaN"},
        {"abstain": {"confidence": 2}},
        {"input": {"height": -1, "width": 2, "resize": "stretch"}},
        {"input": {"height": 1, "width": 2, "resize": "smart"}},
        {"input": {"height": 1, "width": 2, "resize": "pad", "levels": "all"}},
        {"input": {"height": 1, "width": 2, "resize": "pad", "profiles": ["convert"]}},
        {"input": {"height": 1, "width": 2, "resize": "pad", "max_megapixels": 1e9}},
        {"input": {"height": 1, "width": 2, "resize": "pad", "max_megapixels": "many"}},
        {"input": {"height": 1, "width": 2, "resize": "crop", "background": "white"}},
        {"input": {"height": 1, "width": 2, "resize": "crop", "background": 7}},
        {"input": 3},
    ],
)
def test_a_damaged_card_is_refused(changed):
    spec = ExportSpec(("a", "b"), (8, 9), "crop", 2.0, None, background="#12a0ff")
    assert parse_card(card_text(spec)) == spec
    with pytest.raises(ArtefactError, match="card is damaged"):
        parse_card(json.dumps(spec.card() | changed))


def test_a_card_from_before_backgrounds_drops_the_opacity():
    card = ExportSpec(("a", "b"), (8, 9), background="#ffffff").card()
    del card["input"]["background"]
    spec = parse_card(json.dumps(card))
    assert spec.background == spec.geometry.background == NO_BACKGROUND


@pytest.mark.parametrize(
    "changed",
    [
        {"task": "segment"},
        {"thresholds": [0.5]},
        {"thresholds": [0.5, "high"]},
        {"thresholds": None},
        {"calibration": {"scales": [1.0, 1.0], "offsets": [0.0, None]}},
        {"calibration": {"scales": [1.0, 1.0]}},
        {"abstain": {"confidence": 0.0, "confidences": [0.5]}},
        {"abstain": {"confidence": 0.0, "confidences": [0.5, 2]}},
    ],
)
def test_a_damaged_card_of_several_labels_is_refused(changed):
    decisions = LabelDecisions((1.0, 2.0), (0.0, -0.5), (0.25, 0.5), (None, 0.75))
    spec = ExportSpec(("a", "b"), (8, 9), decisions=decisions, task="multilabel")
    assert parse_card(card_text(spec)) == spec
    with pytest.raises(ArtefactError, match="card is damaged"):
        parse_card(json.dumps(spec.card() | changed))


def test_a_card_from_before_tasks_is_of_one_label_an_image():
    card = ExportSpec(("a", "b"), (8, 9)).card()
    assert card.pop("task") == "classify"
    spec = parse_card(json.dumps(card))
    assert (spec.task, spec.decisions, spec.thresholds) == ("classify", None, None)
