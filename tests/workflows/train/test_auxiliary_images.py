"""Runs with unlabelled and related images: what they record, and what is refused later."""

from __future__ import annotations

import html
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from tests.digits import write_folders
from tests.listener import Listener
from tests.workflows.conftest import World
from transfercli.data.manifest import read_manifest
from transfercli.errors import DataError
from transfercli.runs.folder import RunFolder
from transfercli.runs.record import RunRecord
from transfercli.workflows.data.check import CheckRequest, check_data
from transfercli.workflows.data.diff import DiffRequest, diff_data
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run
from transfercli.workflows.lineage import learnt_from
from transfercli.workflows.retrain.results import Rejected
from transfercli.workflows.retrain.retrain import retrain
from transfercli.workflows.retrain.state import RetrainRequest
from transfercli.workflows.runs.runs import show_run
from transfercli.workflows.stored_run import StoredRun


@pytest.fixture(scope="module")
def adapted(
    tmp_path_factory: pytest.TempPathFactory, digits_folder: Path, source: tuple[World, dict[str, Any]]
) -> tuple[World, dict[str, Any], Listener]:
    """Digits 5-9 with few labels, digits without labels in `new é`, and related ones in `other`."""
    world = World(tmp_path_factory.mktemp("adapted"), digits_folder)
    target = digits_folder / "digits-target"
    for label in "56789":
        files = sorted((target / "train" / label).iterdir())
        for place, chosen in (
            (f"few/{label}", files[:12]),
            (f"new é/deep {label}", files[12:24]),
            (f"other/{label}", files[24:30]),
        ):
            (world.folder / place).mkdir(parents=True)
            for file in chosen:
                shutil.copy(file, world.folder / place)
    test_image, other, *_ = sorted((target / "test" / "5").iterdir())
    shutil.copy(test_image, world.folder / "new é" / "test copy.png")
    with Image.open(other) as image:
        image.convert("RGB").resize((64, 64), Image.Resampling.BICUBIC).save(world.folder / "new é" / "near.png")
    data = {"train": "few", "test": str(target / "test"), "unlabelled": "new é", "related": ["other"]}
    start = {"weights": {"run": source[1]["run"]}}
    config = world.config("adapted", "", data=data, model=start, transfer={"strategy": "linear_probe"})
    listener = Listener()
    return world, world.train("finetune", config, listener), listener


def test_a_run_records_its_auxiliary_images_beside_the_data_set(adapted: Any) -> None:
    _, result, listener = adapted
    run = RunFolder(Path(result["run"]))
    own, auxiliary = read_manifest(run.dataset), read_manifest(run.auxiliary)
    assert {record.split for record in own} == {"train", "validation", "test"}
    assert [record.split for record in auxiliary].count("unlabelled") == 61
    assert [record.split for record in auxiliary].count("related") == 30
    assert {record.label for record in auxiliary if record.split == "unlabelled"} == {""}
    (left_out,) = [record for record in auxiliary if not record.split]
    assert (left_out.path, left_out.problem) == ("../new é/test copy.png", "left out: the same pixels as a test image")
    facts = json.loads(run.record.read_text())["data"]
    assert facts["auxiliary"] == {
        "images": {"unlabelled": 61, "related": 30},
        "left_out": {"data.unlabelled": {"test": 1}},
    }
    assert set(facts["images"]) == {"train", "validation", "test"}
    assert any("data.unlabelled: 1 of 62 images left out" in text for text in listener.warnings)
    (near,) = [text for text in listener.warnings if "re-encoded or resized copy" in text]
    assert near.startswith("1 of ")
    assert "a re-encoded or resized copy among the unlabelled images (" in near
    assert any(f"({record.path})" in near for record in own if record.split == "test")


def test_auxiliary_images_count_as_learnt(adapted: Any, tmp_path: Path) -> None:
    world, result, _ = adapted
    run = StoredRun(RunFolder(Path(result["run"])))
    learnt = learnt_from(run, reporter=Listener())
    used = [record for record in run.auxiliary if record.split]
    assert {record.split: learnt.use_of(record.sha256) for record in used} == {
        "unlabelled": "unlabelled",
        "related": "train",
    }
    for record in used[:5] + used[-6:-1]:
        label = Path(record.path).parent.name[-1]
        (tmp_path / label).mkdir(exist_ok=True)
        shutil.copy(world.folder / "few" / record.path, tmp_path / label)
    reporter = Listener()
    found = evaluate_run(EvaluateRequest(result["run"], world.runs, data=tmp_path), reporter).as_json()
    assert found["known"] == {"train": 5, "unlabelled": 5}
    assert found["honest_examples"] == 0
    assert any("saw the pixels, and not the labels, of 5" in text for text in reporter.warnings)


def test_a_run_goes_on_with_the_same_auxiliary_images_only(adapted: Any, tmp_path: Path) -> None:
    world, result, _ = adapted
    copy = tmp_path / "copy"
    shutil.copytree(world.folder, copy, symlinks=True)
    run = RunFolder(copy / "runs" / "adapted" / Path(result["run"]).name)
    record = json.loads(run.record.read_text())
    run.record.write_text(json.dumps(record | {"status": "interrupted"}))
    other = World(copy, world.samples)
    assert other.train("finetune", None, resume=str(run.path))["status"] == "completed"
    run.record.write_text(json.dumps(record | {"status": "interrupted"}))
    (copy / "new é" / "deep 6").rename(copy / "new é" / "renamed")
    other.train("finetune", None, resume=str(run.path))
    run.record.write_text(json.dumps(record | {"status": "interrupted"}))
    next((copy / "other" / "5").iterdir()).unlink()
    with pytest.raises(DataError, match="the data changed since adapted/"):
        other.train("finetune", None, resume=str(run.path))


def test_images_that_nothing_uses_are_named(adapted: Any) -> None:
    world, *_ = adapted
    data = {"train": str(world.folder / "few"), "unlabelled": str(world.folder / "new é")}
    listener = Listener()
    config = world.config("unused", "", data=data, transfer={"strategy": "linear_probe"}, training={"epochs": 1})
    world.train("finetune", config, listener, dry_run=True)
    assert any("unlabelled images are not used: no phase solves for the head" in text for text in listener.warnings)


def test_changed_copies_of_labelled_images_do_not_train_as_related_ones(
    adapted: Any, source: tuple[World, dict[str, Any]], tmp_path: Path
) -> None:
    world, *_ = adapted
    for label in "56789":
        (tmp_path / label).mkdir()
        for number, file in enumerate(sorted((world.folder / "few" / label).iterdir())[:2]):
            with Image.open(file) as image:
                image.convert("RGB").resize((64, 64), Image.Resampling.BICUBIC).save(tmp_path / label / f"{number}.png")
    data = {"train": str(world.folder / "few"), "related": [str(tmp_path), str(world.folder / "other")]}
    start = {"weights": {"run": str(Path(source[1]["run"]).resolve())}}
    listener = Listener()
    config = world.config("copies", "", data=data, model=start, transfer={"strategy": "linear_probe"})
    world.train("finetune", config, listener, dry_run=True)
    (found,) = [text for text in listener.warnings if "related images are not used" in text]
    assert 8 <= int(found.split(" of 40 ")[0]) <= 10  # of 10 copies; small digits are much alike


def test_runs_without_auxiliary_images_have_no_such_file(source: tuple[World, dict[str, Any]]) -> None:
    run = RunFolder(Path(source[1]["run"]))
    assert not run.auxiliary.exists()
    assert StoredRun(run).auxiliary == []
    assert "auxiliary" not in RunRecord.read(run).content["data"]


def test_data_check_and_diff_count_auxiliary_images_apart(adapted: Any, tmp_path: Path) -> None:
    world, _result, _ = adapted
    copy = World(Path(shutil.copytree(world.folder, tmp_path / "copy", symlinks=True)), world.samples)
    config = copy.folder / "adapted.yaml"
    request = DiffRequest(config, "adapted", copy.runs)
    found = diff_data(request, Listener()).as_json()
    nothing = {"added": [], "removed": [], "changed": [], "relabelled": []}
    assert found["unchanged"]
    assert found["auxiliary"] == {"unlabelled": nothing, "related": nothing}
    first, *_ = sorted((copy.folder / "other" / "5").iterdir())
    first.unlink()
    write_folders(copy.folder / "new é" / "deeper", {"x": [0]})
    (copy.folder / "new é" / "bad.png").write_bytes(b"")
    overrides = ("data.max_bad_fraction=0.1",)
    found = diff_data(DiffRequest(config, "adapted", copy.runs, overrides), Listener()).as_json()
    assert found["auxiliary"]["unlabelled"] == nothing | {"added": ["../new é/deeper/x/0000.png"]}
    assert found["auxiliary"]["related"] == nothing | {"removed": [f"../other/5/{first.name}"]}
    assert not found["unchanged"]
    assert not found["added"]
    assert not found["removed"]
    checked = check_data(CheckRequest(config, copy.runs, overrides, mislabelled=False), Listener()).as_json()
    assert checked["images"] == sum(checked["splits"].values())
    auxiliary = checked["auxiliary"]
    assert auxiliary["images"] == {"unlabelled": 62, "related": 29}
    assert auxiliary["classes"] == {"5": 5, "6": 6, "7": 6, "8": 6, "9": 6}
    assert {problem["problem"] for problem in auxiliary["problems"]} == {
        "zero bytes",
        "left out: the same pixels as a test image",
    }
    gone = check_data(CheckRequest(config, copy.runs, ("data.unlabelled=gone",), mislabelled=False), Listener())
    assert gone.report.refusals[0].startswith("data.unlabelled: 'gone' does not exist")
    assert gone.report.images
    assert gone.report.splits()


@pytest.mark.slow
def test_a_night_is_unchanged_until_an_auxiliary_image_changes(adapted: Any, tmp_path: Path) -> None:
    world, *_ = adapted
    copy = World(Path(shutil.copytree(world.folder, tmp_path / "copy", symlinks=True)), world.samples)
    shutil.rmtree(copy.runs)
    listener = Listener()

    def night() -> dict[str, Any]:
        try:
            return retrain(RetrainRequest(copy.folder / "adapted.yaml", copy.runs), listener).as_json()
        except Rejected as rejected:
            return rejected.result.as_json()

    assert night()["decision"] == "first"
    assert night()["decision"] == "unchanged"
    (copy.folder / "new é" / "deep 6").rename(copy.folder / "new é" / "renamed")
    assert night()["decision"] == "unchanged"
    write_folders(copy.folder / "new é" / "deeper", {"x": [0]})
    assert night()["decision"] in ("kept", "rejected", "promoted")
    shutil.rmtree(copy.folder / "new é")
    with pytest.raises(DataError, match=r"data.unlabelled: 'new é' does not exist"):
        night()


def test_the_decision_is_shown_wherever_the_run_is(adapted: Any) -> None:
    world, result, listener = adapted
    (line,) = [text for text in listener.infos if text.startswith("adaptation: ")]
    decision = result["adaptation"]
    assert line == f"adaptation: {decision['text']}"
    assert decision["case"] == "related domains"
    record = json.loads((Path(result["run"]) / "run.json").read_text())
    assert record["adaptation"] == decision
    json.dumps(decision, allow_nan=False)
    shown = show_run("adapted", world.runs, Listener()).as_json()
    assert shown["adaptation"] == decision
    evaluate_run(EvaluateRequest("adapted", world.runs), Listener())
    page = (Path(result["run"]) / "evaluation" / "test" / "report.html").read_text()
    assert html.escape(decision["text"], quote=False)[:40] in page
    assert "<td>30</td>" in page or "related images" in page


def test_labels_of_one_look_are_aligned_with_unlabelled_images_of_another(
    tmp_path: Path, digits_folder: Path, source: tuple[World, dict[str, Any]]
) -> None:
    world = World(tmp_path, digits_folder)
    (tmp_path / "pool").mkdir()
    for label in "56789":
        files = sorted((digits_folder / "digits-target" / "train" / label).iterdir())
        (tmp_path / "few" / label).mkdir(parents=True)
        for file in files[:20]:
            shutil.copy(file, tmp_path / "few" / label)
        for file in files[20:40]:
            with Image.open(file) as image:
                ImageOps.invert(image.convert("RGB")).save(tmp_path / "pool" / f"{label} {file.name}")
    data = {"train": "few", "unlabelled": "pool"}
    start = {"weights": {"run": source[1]["run"]}}
    listener = Listener()
    config = world.config("aligned", "", data=data, model=start, transfer={"strategy": "linear_probe"})
    result = world.train("finetune", config, listener)
    assert result["adaptation"]["case"] == "another domain"
    assert any("no labelled image is of the target's domain" in text for text in listener.warnings)
    assert [trial["name"] for trial in result["adaptation"]["tried"]] == ["none", "moments"]
