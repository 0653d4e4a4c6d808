"""`runs why` on the digits: the parts of the difference between two runs are the changes that were made."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.listener import Listener
from tests.workflows.conftest import World
from transfercli.errors import ArtefactError, DataError
from transfercli.reporting import Reporter
from transfercli.workflows.compare.attribution import WhyRequest, WhyResult
from transfercli.workflows.compare.why import explain_difference

WRONG = 20  # images of 7 that run B has as 9


@dataclass
class Lab:
    """A folder of digits 5 to 9 and the experiments on tables of them.

    train(name, rows, **sections): train on the rows (path, label, split) of a table.
    """

    world: World
    images: Path
    first: list[tuple[str, str, str]]
    second: list[tuple[str, str, str]]
    train: Callable[..., Path]

    def why(self, first: str, second: str, reporter: Reporter | None = None, **more: Any) -> WhyResult:
        return explain_difference(WhyRequest(first, second, self.world.runs, **more), reporter or Reporter())


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, source: tuple[World, dict[str, Any]]) -> Lab:
    """Run a on 160 images, and run b with 30 new ones, 20 removed ones and `WRONG` wrong labels."""
    world = World(tmp_path_factory.mktemp("why"), source[0].samples)
    images = world.folder / "images"
    shutil.copytree(world.samples / "digits-target", images)
    by_split = {
        split: [(str(file.relative_to(world.folder)), file.parent.name) for file in sorted((images / split).rglob("*"))]
        for split in ("train", "test")
    }
    named = {split: [pair for pair in pairs if pair[0].endswith(".png")] for split, pairs in by_split.items()}
    thin = named["train"][::3]
    validation, training = thin[::6], [pair for row, pair in enumerate(thin) if row % 6]
    held_out = [(*pair, "validation") for pair in validation] + [(*pair, "test") for pair in named["test"]]
    sevens = [path for path, label in training if label == "7"][:WRONG]
    removed = training[::11][:20]
    kept = [pair for pair in training if pair not in removed or pair[0] in sevens]
    new = named["train"][1::18]
    first = [(*pair, "train") for pair in training] + held_out
    second = [(path, "9" if path in sevens else label, "train") for path, label in [*kept, *new]] + held_out
    weights = {"run": str(Path(source[1]["run"]).resolve())}

    def train(name: str, rows: list[tuple[str, str, str]], **sections: Any) -> Path:
        table = world.folder / f"{name}.csv"
        with table.open("w", newline="") as file:
            csv.writer(file).writerows([("path", "label", "split"), *rows])
        sections = {"transfer": {"strategy": "linear_probe"}, "training": {"refit": False}} | sections
        data = {"train": str(table)} | sections.pop("data", {})
        config = world.config(name, "", data=data, model={"weights": weights}, **sections)
        return Path(world.train("finetune", config)["run"])

    train("a", first)
    train("b", second)
    return Lab(world, images, first, second, train)


@pytest.fixture(scope="module")
def result(lab: Lab) -> WhyResult:
    return lab.why("a", "b")


def test_the_parts_are_the_changes_that_were_made(result: WhyResult) -> None:
    parts = {part.kind: part for part in result.parts}
    assert set(parts) == {"relabelled", "added", "removed"}
    wrong = parts["relabelled"]
    assert wrong.text == f"{WRONG} relabelled images of '7' as '9'"
    assert (wrong.label, wrong.new_label, wrong.images) == ("7", "9", WRONG)
    assert wrong.contribution < -0.02
    assert wrong.interval[0] < wrong.contribution < wrong.interval[1] < 0
    assert result.parts[0] is wrong
    assert wrong.text in result.headline
    total = sum(part.contribution for part in result.parts) + result.unexplained.contribution
    assert total == pytest.approx(result.difference, abs=1e-9)
    assert abs(result.unexplained.contribution) < 0.02  # both heads were solved
    assert (result.network, result.solves) == ("shared", 8 + 10 * 8)


@pytest.mark.slow
def test_the_effect_is_that_of_a_training_with_this_change_alone(lab: Lab, result: WhyResult) -> None:
    only_wrong = [
        next((row for row in lab.second if row[0] == path and row[1] == "9"), (path, label, split))
        for path, label, split in lab.first
    ]
    lab.train("wrong", only_wrong)
    alone = lab.why("a", "wrong")
    (part,) = alone.parts
    assert part.contribution == pytest.approx(alone.difference, abs=0.012)
    (among_others,) = [part for part in result.parts if part.kind == "relabelled"]
    assert among_others.interval[0] <= alone.difference <= among_others.interval[1]


@pytest.mark.slow
def test_the_way_back_has_the_opposite_parts(lab: Lab, result: WhyResult) -> None:
    there, back = result, lab.why("b", "a")
    assert there.difference == pytest.approx(-back.difference)
    sizes = {part.images: part.contribution for part in back.parts}
    for part in there.parts:
        assert sizes[part.images] == pytest.approx(-part.contribution, abs=0.012)
    assert {part.kind for part in back.parts} == {"relabelled", "added", "removed"}


def test_the_json_is_plain_and_names_runs_and_keys(result: WhyResult) -> None:
    told = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert [Path(told[name]).parent.name for name in ("a", "b")] == ["a", "b"]
    assert told["difference"] == pytest.approx(told["b_value"] - told["a_value"])
    assert told["difference"] == pytest.approx(sum(p["contribution"] for p in told["parts"]) + told["unexplained"])
    assert {row["key"]: row["effect"] for row in told["config"]} == {"name": "none", "data.train": "images"}
    assert told["within_noise"] == told["headline"].startswith("within noise: ")
    assert told["images"] == 177


def test_a_run_beside_itself_differs_within_noise(lab: Lab) -> None:
    result = lab.why("a", "a", metric="log_loss")
    assert (result.difference, result.parts, result.unexplained.contribution) == (0, (), 0)
    assert result.headline.startswith("within noise: log_loss +0.0000")


@pytest.mark.slow
def test_class_weights_and_the_seed_are_told_apart_from_images(lab: Lab) -> None:
    lab.train("weighted", lab.first, seed=3, training={"class_weights": {"5": 50, "6": 1, "7": 1, "8": 1, "9": 1}})
    result = lab.why("a", "weighted")
    (part,) = result.parts
    assert (part.kind, part.images) == ("class weights", 0)
    assert part.keys == ("training.class_weights",)
    assert result.seed.as_json()["changed"] is True
    assert part.contribution + result.unexplained.contribution == pytest.approx(result.difference)


@pytest.mark.slow
def test_another_network_is_a_part_of_its_own(lab: Lab) -> None:
    lab.train("small", lab.second, data={"image_size": 24})
    result = lab.why("a", "small")
    assert result.network == "own"
    parts = {part.kind: part for part in result.parts}
    assert parts["network"].keys == ("data.image_size",)
    assert parts["relabelled"].images == WRONG
    assert (parts["network"].contribution) < 0
    assert abs(result.unexplained.contribution) < 0.03


@pytest.mark.slow
def test_heads_of_trained_bases_are_solved_on_the_weights_that_they_started_from(lab: Lab) -> None:
    lab.train("tuned", lab.second, transfer={"strategy": "scratch"})
    result = lab.why("a", "tuned")
    assert result.network == "start"
    assert result.unexplained.text.startswith("training of the base")
    assert {part.kind for part in result.parts} == {"relabelled", "added", "removed"}


def test_a_second_call_computes_no_features_also_of_images_that_were_deleted(lab: Lab, result: WhyResult) -> None:
    gone = [path for path, _, split in lab.first if split == "train" and path not in {p for p, _, _ in lab.second}]
    assert gone
    kept = {path: (lab.world.folder / path).read_bytes() for path in gone}
    for path in gone:
        (lab.world.folder / path).unlink()
    try:
        listener = Listener()
        after = lab.why("a", "b", listener)
    finally:
        for path, content in kept.items():
            (lab.world.folder / path).write_bytes(content)
    assert after.parts == result.parts
    assert (after.cached["misses"], after.cached["hits"] > 0) == (0, True)
    assert after.lost == {"test": 0, "changes": 0}
    assert not listener.warnings


@pytest.mark.slow
def test_images_that_are_gone_everywhere_are_named_or_too_many(lab: Lab) -> None:
    run = lab.train("uncached", lab.second, compute={"cache": "off"})
    removed = [path for path, _, split in lab.second if split == "train"]
    content = {path: (lab.world.folder / path).read_bytes() for path in removed}
    (lab.world.folder / removed[0]).unlink()
    try:
        listener = Listener()
        result = lab.why("a", str(run), listener)
        assert any(f"1 of {len(removed)} training images" in text and removed[0] in text for text in listener.warnings)
        assert result.difference is not None
        for path in removed[1:40]:
            (lab.world.folder / path).unlink()
        with pytest.raises(DataError, match="cannot be read any more"):
            lab.why("a", str(run))
    finally:
        for path, data in content.items():
            (lab.world.folder / path).write_bytes(data)


def test_runs_without_a_test_image_that_is_new_to_both_cannot_be_explained(lab: Lab) -> None:
    exchanged = {"train": "test", "test": "train"}
    lab.train("saw", [(path, label, exchanged.get(split, split)) for path, label, split in lab.first])
    with pytest.raises(DataError, match="no test image"):
        lab.why("saw", "a")
    with pytest.raises(ArtefactError):
        lab.why("a", "nobody")
