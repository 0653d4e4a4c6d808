"""The list of bases: complete, with sources, and honest about this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from transfercli.models.bases import BASES
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
    assert {row["images_per_second"] for row in rows} == {None}
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
    assert row.images_per_second > 0
