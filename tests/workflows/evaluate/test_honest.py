"""Honest metrics: without the images that the run or an ancestor learnt from, on real digits."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.listener import Listener
from tests.workflows.conftest import World
from transfercli.errors import DataError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.compare.compare import compare_runs
from transfercli.workflows.compare.comparison import CompareRequest
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run
from transfercli.workflows.export.export import reference_of
from transfercli.workflows.runs.leaderboard import ListRequest, list_runs
from transfercli.workflows.stored_run import StoredRun

WHOLE_NETWORK = {"strategy": "full"}


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> tuple[World, dict[str, dict[str, Any]]]:
    """240 digits with random labels, learnt by heart by `a`; `b` starts from `a` with other splits, `c` from `b`."""
    world = World(tmp_path_factory.mktemp("family"), digits_folder)
    files = sorted((digits_folder / "digits" / "train").rglob("*.png"))
    chosen = np.random.default_rng(0).choice(len(files), 240, replace=False)
    for number, index in enumerate(chosen):
        folder = world.folder / "images" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(files[index], folder / f"{number:03d}.png")
    results = {}
    for name, parent, epochs, test in (("a", None, 25, 0.2), ("b", "a", 1, 0.6), ("c", "b", 1, 0.6)):
        config = world.config(
            name,
            "",
            data={"train": str(world.folder / "images"), "test": test, "validation": 0.1, "batch_size": 16},
            model={"head": {"pooling": "flatten", "init": "keep" if parent else "new"}}
            | ({"weights": {"run": parent}} if parent else {}),
            transfer=WHOLE_NETWORK if parent else {},
            training={
                "epochs": epochs,
                "optimizer": {"learning_rate": 1e-7 if parent else 1e-3},
                "early_stopping": {"monitor": "loss", "patience": 60},
            },
            evaluation={"gates": {"accuracy": 0.7}},
        )
        results[name] = world.train("finetune" if parent else "pretrain", config)
    return world, results


def evaluated(world: World, run: str, reporter: Reporter | None = None, **options: Any) -> dict[str, Any]:
    return evaluate_run(EvaluateRequest(run, world.runs, **options), reporter or Reporter()).as_json()


@pytest.mark.parametrize("run", ["b", "c"])
def test_a_run_from_a_parent_that_knew_the_labels_by_heart_is_no_better_than_chance(family: Any, run: str) -> None:
    world, _ = family
    listener = Listener()
    result = evaluated(world, run, listener)
    assert result["metrics"]["accuracy"] > 0.7
    assert result["known"]["train"] > 60
    assert result["honest_examples"] == result["examples"] - sum(result["known"].values()) > 5
    assert abs(result["honest"]["accuracy"] - 0.5) < 0.25
    assert set(result["honest"]) == set(result["metrics"])
    assert set(result["honest_intervals"]) <= set(result["metrics"])
    (gate,) = result["gates"]
    assert (gate["passed"], gate["value"]) == (False, result["honest"]["accuracy"])
    (warning,) = [text for text in listener.warnings if "too optimistic" in text]
    assert f"trained on {result['known']['train']}" in warning
    assert f"{result['metrics']['accuracy']:.4f} on all" in warning
    assert f"{result['honest']['accuracy']:.4f} on the other {result['honest_examples']} images" in warning
    folder = world.runs / run / "latest" / "evaluation" / "test"
    page = " ".join((folder / "report.html").read_text().split())
    assert f"it is right on <b>{result['honest']['accuracy']:.1%}</b> of {result['honest_examples']} images" in page
    assert json.loads((folder / "metrics.json").read_text())["honest"] == result["honest"]


def test_without_learnt_images_the_honest_metrics_are_the_metrics(family: Any) -> None:
    world, _ = family
    listener = Listener()
    result = evaluated(world, "a", listener)
    assert (result["known"], result["known_gaps"], listener.warnings) == ({}, [], [])
    assert result["honest"] == result["metrics"]
    assert result["honest_examples"] == result["examples"]
    assert result["honest_intervals"]["accuracy"] == result["intervals"]["accuracy"]


def test_the_own_validation_images_count_unless_an_ancestor_trained_on_them(family: Any) -> None:
    world, _ = family
    own = evaluated(world, "a", split="validation")
    assert own["known"] == {"validation": own["examples"]}
    assert (own["honest"], own["honest_examples"]) == (own["metrics"], own["examples"])
    child = evaluated(world, "b", split="validation")
    assert sum(child["known"].values()) == child["examples"]
    assert child["known"]["train"] > 0
    assert child["honest_examples"] == child["known"].get("validation", 0)


def save_bmp(image: Image.Image, file: Path) -> None:
    image.save(file.with_suffix(".bmp"))


def save_jpeg(image: Image.Image, file: Path) -> None:
    image.save(file.with_suffix(".jpg"), quality=80)


def save_turned(image: Image.Image, file: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    image.transpose(Image.Transpose.ROTATE_90).save(file.with_suffix(".png"), exif=exif)


def save_smaller(image: Image.Image, file: Path) -> None:
    image.resize((27, 27), Image.Resampling.BICUBIC).save(file.with_suffix(".png"))


@pytest.mark.parametrize(
    "save, use", [(save_bmp, "train"), (save_turned, "train"), (save_jpeg, "near"), (save_smaller, "near")]
)
@pytest.mark.parametrize("run", ["a", "c"])
def test_copies_of_training_images_are_known(
    family: Any, tmp_path: Path, save: Callable[[Image.Image, Path], None], use: str, run: str
) -> None:
    world, results = family
    rows = csv.DictReader((Path(results["a"]["run"]) / "dataset.csv").read_text().splitlines())
    learnt = [row for row in rows if row["split"] == "train"][:40]
    for number, row in enumerate(learnt):
        place = tmp_path / "copies" / row["label"]
        place.mkdir(parents=True, exist_ok=True)
        save(Image.open(world.folder / "images" / row["path"]), place / f"{number}.x")
    result = evaluated(world, run, data=tmp_path / "copies", minimums=("accuracy=0",))
    assert result["known"] == {use: 40}
    assert (result["honest_examples"], set(result["honest"].values())) == (0, {None})
    assert result["honest_intervals"] == {}
    assert [(gate["value"], gate["passed"]) for gate in result["gates"]] == [(None, False)]


def test_different_digits_are_no_copies(family: Any, digits_folder: Path) -> None:
    world, _ = family
    folder = world.folder / "others" / "a"
    folder.mkdir(parents=True)
    for number, file in enumerate(sorted((digits_folder / "digits" / "test").rglob("*.png"))):
        shutil.copy(file, folder / f"{number}.png")
    assert evaluated(world, "c", data=world.folder / "others")["known"] == {}


def copied(world: World, folder: Path, *runs: str) -> World:
    for run in runs:
        shutil.copytree(world.runs / run, folder / "runs" / run, symlinks=True)
    return World(folder, world.samples)


def test_a_missing_ancestor_and_a_run_without_stored_pixels_are_gaps(family: Any, tmp_path: Path) -> None:
    world, _ = family
    part = copied(world, tmp_path, "b", "c")
    config = RunFolder(part.runs / "c" / "latest").config  # its images are where they were
    config.write_text(config.read_text().replace("train: ../images", f"train: {world.folder / 'images'}"))
    listener = Listener()
    result = evaluated(part, "c", listener)
    assert [text for text in result["known_gaps"] if "does not exist any more" in text]
    assert any("does not exist any more" in text for text in listener.warnings)
    said = {"descriptors": "did not record descriptors", "pixels": "did not record the pixels"}
    for number, name in enumerate(said, 1):
        getattr(RunFolder(part.runs / "b" / "latest"), name).unlink()
        again = evaluated(part, "c")
        assert again["known"] == result["known"]  # by their files
        gaps = " ".join(again["known_gaps"])
        assert [gaps.count(text) for text in said.values()] == [1, number - 1]


def test_finetune_says_at_its_start_what_the_parent_learnt_from(family: Any) -> None:
    world, results = family
    listener = Listener()
    config = world.folder / "b.yaml"
    estimate = world.train("finetune", config, listener, dry_run=True)
    before = results["b"]["learnt_before"]
    assert estimate["learnt_before"] == before
    assert before["test"] == evaluated(world, "b")["known"]
    assert before["validation"]["train"] > 0
    (warning,) = [text for text in listener.warnings if "learnt from" in text]
    assert f"{sum(before['test'].values())} of {estimate['images']['test']} test images" in warning
    assert "its validation metrics are too good" in warning
    assert results["a"]["learnt_before"] == {}


def test_comparisons_leave_out_what_either_run_or_an_ancestor_learnt_from(family: Any) -> None:
    world, _ = family
    listener = Listener()
    (pair,) = compare_runs(CompareRequest(("b", "c"), world.runs), listener).as_json()["comparisons"]
    result = evaluated(world, "c")
    assert pair["examples"] == result["honest_examples"]
    assert pair["left_out"] == result["examples"] - result["honest_examples"]
    assert pair["metrics"]["accuracy"]["challenger"] == pytest.approx(result["honest"]["accuracy"])
    assert any("these are left out" in text for text in listener.warnings)
    with pytest.raises(DataError, match="no image to compare runs on"):
        compare_runs(CompareRequest(("b", "c"), world.runs, "validation"), Reporter())


def test_the_list_of_runs_has_the_honest_accuracy(family: Any) -> None:
    world, _ = family
    result = evaluated(world, "b")
    (row,) = [row for row in list_runs(ListRequest(world.runs)).as_json()["runs"] if row["experiment"] == "b"]
    assert row["test_accuracy"] == result["honest"]["accuracy"]


def test_the_accuracy_of_an_export_is_of_images_that_were_not_learnt_from(family: Any) -> None:
    world, _ = family
    listener = Listener()
    references = {}
    for name in "ab":
        run = StoredRun.find(name, world.runs, listener)
        references[name] = (reference_of(run, split := run.split("validation")), len(split))
    assert (references["a"][0].known, len(references["a"][0].targets)) == (0, references["a"][1])
    assert references["b"][0].known == references["b"][1]  # none is left, and this is said
    assert [text for text in listener.warnings if "before and after the export are too optimistic" in text]
