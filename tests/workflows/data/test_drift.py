"""`data drift` against a run that really trained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import ImageFilter, ImageOps
from typer.testing import CliRunner

from tests.listener import Listener
from tests.workflows.data.changes import change, passes_counted
from transfercli.cli.app import app
from transfercli.data.dataset import Split
from transfercli.data.load import load_folder_split
from transfercli.errors import DataError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.data.drift import DriftRequest, base_trained, data_drift, measure_drift
from transfercli.workflows.stored_run import StoredRun


def measured(
    source: Any, folder: Path, maximum: float | None = None, reporter: Reporter | None = None
) -> dict[str, Any]:
    world, _ = source
    return data_drift(DriftRequest("digits-source", folder, world.runs, maximum), reporter or Reporter()).as_json()


def test_images_like_those_of_the_training_have_not_drifted(source: Any, recent: Path) -> None:
    result = measured(source, recent, 0.2)
    assert (result["images"], result["compared"], result["drifted"], result["passed"]) == (89, 89, False, True)
    reference = {"split": "test", "images": 178, "groups": None}
    assert result["reference"] == {"features": reference, "predictions": reference}  # the base was trained, too
    json.dumps(result, allow_nan=False)


def test_junk_in_a_folder_is_accepted_up_to_a_share(source: Any, recent: Path) -> None:
    world, _ = source
    for number in range(3):
        (recent / f"junk{number}.png").write_text("junk")
    request = DriftRequest("digits-source", recent, world.runs)
    with pytest.raises(DataError, match="--max-bad allows"):
        data_drift(request, Reporter())
    assert data_drift(replace(request, max_bad=0.1), Reporter()).as_json()["compared"] == 89


@pytest.mark.parametrize("how", [ImageOps.invert, lambda image: image.filter(ImageFilter.GaussianBlur(1.5))])
def test_changed_images_have_drifted_and_miss_the_gate(source: Any, recent: Path, how: Any) -> None:
    change(recent, how)
    result = measured(source, recent, 0.3)
    assert (result["drifted"], result["passed"], result["max"]) == (True, False, 0.3)
    assert result["score"] > 0.3


def test_a_split_is_measured_whatever_its_classes(source: Any, digits_folder: Path) -> None:
    run = RunFolder(Path(source[1]["run"]))
    reading = StoredRun(run).reading
    split = load_folder_split(digits_folder / "digits-target", "test", tuple("56789"), reading)
    assert isinstance(split, Split)
    assert measure_drift(StoredRun(run), split, maximum=None).drifted is True


def test_few_images_are_told_and_none_is_an_error(source: Any, recent: Path, tmp_path: Path) -> None:
    for file in sorted(recent.rglob("*.png"))[1:]:
        file.unlink()
    reporter = Listener()
    assert measured(source, recent, 0.0, reporter)["passed"] is True
    assert any("only 1 image" in text for text in reporter.warnings)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images"):
        measured(source, tmp_path / "empty")
    with pytest.raises(DataError, match="does not exist"):
        measured(source, tmp_path / "gone")


@pytest.mark.parametrize("unfreeze, trained", [("none", False), (0, False), ("conv5", True), (3, True), ("all", True)])
def test_features_of_a_frozen_base_are_compared_with_those_of_training(unfreeze: Any, trained: bool) -> None:
    phases = [{"unfreeze": "none", "kind": "probe"}, {"unfreeze": unfreeze, "kind": "train"}]
    assert base_trained(phases) is trained


def test_an_image_goes_through_the_base_once_and_the_second_drift_costs_only_new_ones(
    source: Any, recent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(recent, ImageOps.flip)
    first = sorted(recent.rglob("*.png"))[0]
    kept = first.read_bytes()
    first.unlink()
    run = RunFolder(Path(source[1]["run"]))
    asked = passes_counted(monkeypatch)
    before = measure_drift(StoredRun(run), recent, maximum=None).as_json()
    assert before["cache"]["features"]["misses"] == sum(asked) <= 178 + 88  # the held-out ones: as other tests left it
    asked.clear()
    again = measure_drift(StoredRun(run), recent, maximum=None).as_json()
    assert again["cache"]["features"] == {"hits": 178 + 88, "misses": 0}
    assert asked == []
    assert {**again, "cache": None} == {**before, "cache": None}
    first.write_bytes(kept)
    assert measure_drift(StoredRun(run), recent, maximum=None).cached["misses"] == 1


def test_on_the_command_line_a_score_above_the_gate_prints_the_result_and_exits_5(source: Any, recent: Path) -> None:
    def drift(*words: str) -> Any:
        runs = ("--runs", str(source[0].runs))
        return CliRunner().invoke(app, ["data", "drift", "digits-source", str(recent), *words, *runs, "--quiet"])

    held = drift("--max", "0.3", "--json")
    assert held.exit_code == 0
    result = json.loads(held.stdout)
    assert (result["passed"], result["max"], result["images"]) == (True, 0.3, 89)
    change(recent, ImageOps.invert)
    missed = drift("--max", "0.3", "--json")
    assert missed.exit_code == 5
    result = json.loads(missed.stdout)
    assert (result["passed"], result["drifted"]) == (False, True)
    assert "required <= 0.3" in missed.stderr
    shown = drift("--max", "0.3")
    assert shown.exit_code == 5
    assert "NOT MET" in shown.stdout
    assert [line.split()[0] for line in shown.stdout.partition("\n\nnext: ")[0].splitlines()[-4:]] == [*result["tests"]]
    assert drift("--max", "2").exit_code == 2
    recent.rename(recent.with_name("moved"))
    assert drift("--json").exit_code == 4
