"""`data check` once a run exists: the labels that the run's features doubt."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from transfercli.reporting import Reporter
from transfercli.workflows.data.check import CheckRequest, check_data

FLIPPED = 25


@pytest.fixture
def doubtful(world: Any, source: Any) -> tuple[Path, Path, dict[str, str]]:
    """A config of the pretrained experiment on digits of which some lie in another's folder, its runs, and those."""
    shutil.copytree(world.samples / "digits-source", world.folder / "images")
    train, moved = world.folder / "images" / "train", {}
    for n, file in enumerate(sorted(train.rglob("*.png"))[:: 719 // FLIPPED][:FLIPPED]):
        right = file.parent.name
        wrong = str((int(right) + 1 + n % 4) % 5)
        file.rename(train / wrong / f"moved-{file.name}")
        moved[f"train/{wrong}/moved-{file.name}"] = right
    config = world.config("digits-source", "digits-source", data={"train": "images"})
    return config, source[0].runs, moved


def check(config: Path, runs: Path, **more: Any) -> dict[str, Any]:
    return check_data(CheckRequest(config, runs, **more), Reporter()).as_json()


def test_images_in_the_wrong_folder_are_listed_with_the_right_class(doubtful: Any, tmp_path: Path) -> None:
    config, runs, moved = doubtful
    found = check(config, runs, report=tmp_path / "report")
    told = {one["path"]: one for one in found["mislabelled"]}
    right = [path for path, label in moved.items() if path in told and told[path]["suggested"] == label]
    assert len(right) >= 0.6 * FLIPPED
    assert len(told.keys() - moved.keys()) <= 10
    one = told[right[0]]
    keys = {"path", "label", "suggested", "confidence", "probability"}
    assert (one["label"], set(one)) == (right[0].split("/")[1], keys)
    assert all(
        0.5 < each["probability"] < 1 and 0 < each["confidence"] <= each["probability"] for each in told.values()
    )
    search = found["mislabelled_search"]
    assert (search["listed"], search["more"], search["weak"]) == (len(told), 0, False)
    assert search["expected_false_alarms"] == pytest.approx(
        sum(1 - each["probability"] for each in told.values()), abs=0.1
    )
    assert search["agreement"] > 0.85
    assert found["mislabelled_run"].startswith("digits-source/")
    assert found["mislabelled_note"] is None
    assert right[0] in (tmp_path / "report" / "problems.csv").read_text()
    assert "are expected to be false alarms" in (tmp_path / "report" / "index.html").read_text()


def test_a_share_limits_the_list_and_the_rest_is_counted(doubtful: Any) -> None:
    found = check(*doubtful[:2], share=0.01)
    assert len(found["mislabelled"]) == found["mislabelled_search"]["listed"] == 10  # of 902
    assert found["mislabelled_search"]["more"] > 5


def test_without_a_completed_run_it_is_told_when_they_come(doubtful: Any, tmp_path: Path) -> None:
    found = check(doubtful[0], tmp_path / "none")
    assert (found["mislabelled"], found["mislabelled_run"]) == ([], None)
    assert "once a run is complete" in found["mislabelled_note"]


def test_it_can_be_left_out_and_then_no_run_is_loaded(doubtful: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transfercli.workflows.data.label_errors.find_run", lambda *_: pytest.fail("looked for a run"))
    found = check(*doubtful[:2], mislabelled=False)
    assert (found["mislabelled"], found["mislabelled_note"]) == ([], None)


def test_a_run_on_images_of_another_size_is_not_asked(doubtful: Any) -> None:
    found = check(*doubtful[:2], overrides=("data.image_size=40",))
    assert found["mislabelled_run"] is None
    assert "takes images of 32x32 pixels (stretch), and the config reads 40x40" in found["mislabelled_note"]


def test_a_run_on_images_that_were_read_otherwise_is_not_asked_if_an_image_shows_it(doubtful: Any) -> None:
    config, runs, _ = doubtful
    black = ("data.background=black", "data.levels=stretch")
    assert check(config, runs, overrides=black)["mislabelled_run"].startswith("digits-source/")
    Image.new("LA", (8, 8), (90, 100)).save(config.parent / "images" / "train" / "0" / "see-through.png")
    found = check(config, runs, overrides=black)
    assert found["mislabelled_run"] is None
    assert found["mislabelled_note"].endswith(
        "was trained with data.background: #ffffff, and the config sets #000000: train again"
    )


def test_a_damaged_run_does_not_stop_the_check(doubtful: Any, tmp_path: Path) -> None:
    config, runs, _ = doubtful
    shutil.copytree(runs, tmp_path / "damaged", symlinks=True)
    for file in (tmp_path / "damaged").rglob("model.safetensors"):
        file.write_bytes(b"damaged")
    found = check(config, tmp_path / "damaged")
    assert found["usable"] is True
    assert found["mislabelled_run"] is None
    assert "model.safetensors" in found["mislabelled_note"]


def test_data_that_training_would_refuse_is_mended_first(doubtful: Any) -> None:
    config, runs, _ = doubtful
    (config.parent / "images" / "train" / "0" / "bad.png").write_bytes(b"")
    found = check(config, runs, overrides=("data.max_bad_fraction=0",))
    assert found["usable"] is False
    assert found["mislabelled_run"] is None
