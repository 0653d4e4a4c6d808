"""Champion and challenger on the same test images."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.retrain.nights import Nights, write_config
from transfercli.data.manifest import read_manifest
from transfercli.errors import DataError
from transfercli.reporting import Reporter
from transfercli.runs.lookup import find_run
from transfercli.workflows.stored_run import StoredRun


def test_more_images_train_a_challenger_that_is_compared_on_the_same_images(nights: Nights) -> None:
    first = nights.night()
    nights.add("5", 40, 60)
    result = nights.night()
    assert result["decision"] in ("promoted", "kept")
    assert result["challenger"] != first["champion"]
    assert result["changes"]["added"] == 20
    comparison = result["comparison"]
    assert comparison["metric"] == "accuracy"
    assert comparison["images"] == result["test"]["images"]
    low, high = comparison["interval"]
    assert low <= comparison["gain"] <= high
    assert nights.night()["decision"] == "unchanged"


def test_a_gate_that_is_not_met_rejects_the_first_challenger(nights: Nights, source: Any) -> None:
    write_config(nights, source[1]["run"], evaluation={"gates": {"log_loss": 1e-9}})
    result = nights.night()
    assert (result["decision"], result["champion"]) == ("rejected", None)
    assert [gate["passed"] for gate in result["gates"]] == [False]
    assert not (nights.experiment / "champion").exists()
    nights.night(), nights.night()
    assert nights.words == ["rejected", "unchanged", "unchanged"]


@pytest.mark.slow
def test_a_class_below_its_floor_rejects(nights: Nights, source: Any) -> None:
    write_config(nights, source[1]["run"], retrain={"promote": {"per_class_floor": 1.0}})
    nights.add("6", 40, 80, source="5")  # fives that are called sixes
    result = nights.night()
    assert result["decision"] == "rejected"
    assert "recall[" in result["reason"]


def test_without_test_images_nothing_is_trained(nights: Nights, source: Any) -> None:
    write_config(nights, source[1]["run"], data={"train": "images", "test": None, "image_size": 32})
    with pytest.raises(DataError, match="on test images"):
        nights.night()
    assert nights.words == ["failed"]


def test_what_a_parent_in_another_experiment_learnt_from_is_no_test_image(nights: Nights, source: Any) -> None:
    records = [one for one in read_manifest(Path(source[1]["run"]) / "dataset.csv") if one.split == "train"]
    root = nights.samples / "digits-source"
    for one in records[:120]:  # the base was trained on these: digits 0 to 4
        place = nights.images / one.label
        place.mkdir(exist_ok=True)
        found = next(root.rglob(Path(one.path).name))
        shutil.copy(found, place / found.name)
    result = nights.night()
    tested = [one for one in read_manifest(Path(result["challenger"]) / "dataset.csv") if one.split == "test"]
    known = {one.sha256 for one in records}
    assert result["test"]["left_out"] == sum(one.sha256 in known for one in tested) > 0
    assert result["test"]["images"] == len(tested) - result["test"]["left_out"]


@pytest.mark.slow
def test_a_learnt_image_that_is_saved_anew_is_no_test_image_and_is_told(nights: Nights, source: Any) -> None:
    from PIL import Image

    from transfercli.workflows.lineage import learnt_from

    held = nights.images.parent / "held"
    for label in "567":
        files = sorted((nights.images / label).iterdir())
        (held / label).mkdir(parents=True)
        for file in files[30:]:
            file.rename(held / label / file.name)
    write_config(nights, source[1]["run"], data={"train": "images", "test": "held", "image_size": 32})
    assert nights.night()["test"] == {"images": 30, "left_out": 0, "groups": None}
    (champion,) = [path.parent for path in nights.experiment.glob("2*/dataset.csv")]
    learnt = [one for one in read_manifest(champion / "dataset.csv") if one.split == "train" and one.label == "5"][:4]
    for one in learnt:
        Image.open(nights.images / one.path).save(held / "5" / f"anew-{Path(one.path).name}", compress_level=1)
    result = nights.night()
    assert result["test"] == {"images": 30, "left_out": 8, "groups": None}  # four copies, and what they are copies of
    assert any("(4 in another file with the same pixels)" in text for text in nights.reporter.warnings)
    tested = Path(result["challenger"]) / "evaluation" / "test" / "predictions.csv"
    assert "anew-" not in tested.read_text()

    runs = [StoredRun(find_run(run, nights.runs)) for run in (str(champion), result["challenger"])]
    copy = next(one for one in runs[1].images if "anew-" in one.path).sha256
    runs[0].folder.pixels.unlink()  # as before there was such a list: what the challenger knows of the pixels is enough
    assert [learnt_from(*some, reporter=Reporter()).has(copy) for some in (runs, runs[:1])] == [True, False]
    assert learnt_from(*runs[:1], reporter=Reporter()).has(learnt[0].sha256)
