"""Label decisions between two nights: the images are relabelled, so a challenger is trained."""

from __future__ import annotations

import pytest
import yaml

from tests.workflows.retrain.nights import Nights
from transfercli.data.corrections.log import Decision, append_decisions
from transfercli.data.manifest import read_manifest
from transfercli.runs import decisions
from transfercli.runs.champions import champion_of


@pytest.mark.slow
def test_a_decision_on_a_label_is_a_relabelled_image(nights: Nights) -> None:
    config = yaml.safe_load(nights.config.read_text())
    config["data"]["corrections"] = "corrections.csv"
    nights.config.write_text(yaml.safe_dump(config))
    log = nights.config.parent / "corrections.csv"
    assert nights.night()["decision"] == "first"
    assert nights.night()["decision"] == "unchanged"
    champion = champion_of(nights.experiment)
    assert champion is not None
    images = [image for image in read_manifest(champion.dataset) if image.split == "train"]
    other = next(image.label for image in images if image.label != images[0].label)
    append_decisions(log, [Decision(images[0].path, images[0].sha256, images[0].label, other)])
    assert nights.night()["decision"] in ("promoted", "kept", "rejected")
    changes = decisions.read(nights.experiment)[-1].facts["changes"]
    assert (changes["relabelled"], changes["changed"], changes["added"]) == (1, 0, 0)
    assert nights.night()["decision"] == "unchanged"


@pytest.mark.slow
def test_labels_that_a_person_decided_are_no_alert_about_new_images(nights: Nights) -> None:
    config = yaml.safe_load(nights.config.read_text())
    config["data"]["corrections"] = "corrections.csv"
    nights.config.write_text(yaml.safe_dump(config))
    assert nights.night()["decision"] == "first"
    champion = champion_of(nights.experiment)
    assert champion is not None
    images = [image for image in read_manifest(champion.dataset) if image.split == "test"]
    label, other = sorted({image.label for image in images})[:2]
    found = [Decision(one.path, one.sha256, label, other) for one in images if one.label == label][:12]
    assert len(found) == 12
    append_decisions(nights.config.parent / "corrections.csv", found)
    assert nights.night()["alerts"] == []
