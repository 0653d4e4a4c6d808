"""Stored runs: models, and the runs that a config starts from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from transfercli.config.loader import load, resolve
from transfercli.config.schema import ExperimentConfig
from transfercli.reporting import Reporter
from transfercli.workflows.new_model import Parent, find_parent, new_classifier, with_parent_structure


def test_a_run_that_goes_on_keeps_the_parent_that_it_started_from(source, tmp_path: Path) -> None:
    world, result = source
    runs = tmp_path / "runs"
    for name in ("night", "later"):
        shutil.copytree(result["run"], runs / "digits-source" / name)
    (runs / "digits-source" / "latest").symlink_to("later")
    night = "digits-source/night"
    for named in ("digits-source/later", str(runs / "digits-source" / "latest")):
        config = load(world.config("heir", "digits-target", model={"weights": {"run": named}})).config
        assert find_parent(config, runs).run.folder.run_id == "later"
        assert find_parent(config, runs, night).run.label == night


def test_a_head_that_is_set_keeps_its_own_pooling(source, tmp_path: Path) -> None:
    world, result = source
    run = tmp_path / "runs" / "digits-source" / "one"
    shutil.copytree(result["run"], run)
    stored = run / "config.yaml"
    stored.write_text(stored.read_text().replace("pooling: avg", "pooling: max"))
    poolings = []
    for head in ({"head": {"dropout": 0.1}}, {}):
        model = {"base": {"run": "digits-source/one"}, "weights": {"run": "digits-source/one"}, **head}
        config = load(world.config("heir", "digits-target", model=model)).config
        poolings.append(with_parent_structure(config, tmp_path / "runs").model.head.pooling)
    assert poolings == ["avg", "max"]


class Warnings(Reporter):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def warning(self, text: str) -> None:
        self.texts.append(text)


@pytest.mark.parametrize(
    "size, warned",
    [
        ([40, 35], "the lowest 8 rows and the last 3 columns of every image are not used; [32, 32] uses all"),
        ([32, 48], None),
    ],
)
def test_pixels_that_are_in_no_patch_are_warned_of(size: list[int], warned: str | None) -> None:
    config = ExperimentConfig(
        name="n", data={"train": "d", "image_size": size}, model={"base": "vit_tiny_patch16", "weights": "none"}
    )
    reporter = Warnings()
    new_classifier(resolve(config, "pretrain"), Parent(), ("a", "b"), reporter)
    assert [warned in text for text in reporter.texts] == ([True] if warned else [])
