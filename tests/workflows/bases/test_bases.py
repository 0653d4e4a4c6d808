"""The list of bases: complete, with sources, and honest about this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from transfercli.models.base_costs import MULTIPLY_ADDS
from transfercli.models.bases import BASES
from transfercli.models.published_weights import PublishedRepository
from transfercli.reporting import Reporter
from transfercli.workflows.bases import bases
from transfercli.workflows.bases.bases import list_bases


def test_every_base_has_its_size_licence_and_the_source_of_its_accuracy() -> None:
    rows = list_bases((), False, Reporter()).as_json()["bases"]
    assert {row["name"] for row in rows} == set(BASES)
    assert all(row["parameters"] > 0 and row["bytes"] == 4 * row["parameters"] and row["licence"] for row in rows)
    by_name = {row["name"]: row for row in rows}
    assert (by_name["resnet50"]["imagenet_top1"], by_name["resnet50"]["source"]) == (0.749, "keras.io/api/applications")
    assert by_name["small_cnn"]["imagenet_top1"] is None
    assert by_name["resnet50"]["multiply_adds"] == MULTIPLY_ADDS["resnet50"]
    assert (by_name["resnet34"]["crop"], by_name["resnet50"]["crop"]) == (BASES["resnet34"].crop, None)
    assert by_name["vit_small_patch16"]["pooling"] == "token"
    assert {row["images_per_second"] for row in rows} == {row["ms_per_image"] for row in rows} == {None}
    families = [row["family"].casefold() for row in rows]
    assert families == sorted(families)


def test_weights_at_hand_are_those_in_keras_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    names = ("mobilenet", "vgg16", "small_cnn")
    weights = lambda: {row.name: row.weights for row in list_bases(names, False, Reporter()).bases}  # noqa: E731
    assert weights() == {"mobilenet": "download", "vgg16": "download", "small_cnn": "none"}
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mobilenet_1_0_224_tf_no_top.h5").write_bytes(b"x")
    assert weights() == {"mobilenet": "here", "vgg16": "download", "small_cnn": "none"}


@pytest.mark.parametrize("gigabytes, fits", [(1, "no"), (2.2, "frozen"), (4, "all layers")])
def test_what_fits_depends_on_the_memory(gigabytes: float, fits: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bases, "usable_memory", lambda: int(gigabytes * 1e9))
    (row,) = list_bases(("resnet50",), False, Reporter()).bases
    assert row.fits == fits


def test_a_measured_base_has_a_speed() -> None:
    (row,) = list_bases(("small_cnn",), True, Reporter()).bases
    assert row.images_per_second
    assert row.ms_per_image
    assert row.images_per_second == pytest.approx(1000 / row.ms_per_image, rel=0.05)


def repository_in(cache: Path, repository: str) -> Path:
    """Write a repository as huggingface_hub stores it, with one weight file, and return that file."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    commit = "0123456789abcdef0123456789abcdef01234567"
    file = folder / "snapshots" / commit / "model.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    return file


def test_weights_of_a_repository_are_at_hand_in_the_cache_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = PublishedRepository("owner/net", 0.7, "a table", "MIT")
    monkeypatch.setitem(BASES, "resnet34", replace(BASES["resnet34"], repository=weights))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    (row,) = list_bases(("resnet34",), False, Reporter()).bases
    assert (row.weights, row.imagenet_top1, row.source, row.repository) == ("download", 0.7, "a table", "owner/net")
    assert row.licence == "weights of owner/net (MIT)"
    assert list_bases(("resnet34", "small_cnn"), False, Reporter(), here=True).bases == []
    file = repository_in(tmp_path, "owner/net")
    (row,) = list_bases(("resnet34", "small_cnn"), False, Reporter(), here=True).bases
    assert (row.name, row.weights) == ("resnet34", "here")
    assert BASES["resnet34"].stored_weights((224, 224)) == file


def test_a_list_of_one_family_has_its_bases_alone() -> None:
    listed = list_bases((), False, Reporter(), families=("DenseNet",)).bases
    assert {row.name for row in listed} >= {"densenet121", "densenet169", "densenet201"}
    assert {row.family for row in listed} == {"DenseNet"}
