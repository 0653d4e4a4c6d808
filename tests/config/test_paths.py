"""Paths of a config: absolute, and equal to the text that the file gives."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest

from transfercli.config.paths import ConfigPath, absolute_path, base_of, normalised_path, resolve_paths
from transfercli.config.schema import ComputeConfig, DataConfig, ExperimentConfig


@pytest.mark.parametrize(
    "text, path", [("images", "configs/images"), ("../images", "images"), ("/srv/images", "/srv/images")]
)
def test_a_path_is_relative_to_the_folder_of_its_config_and_keeps_its_text(
    tmp_path: Path, text: str, path: str
) -> None:
    resolved = ConfigPath(text, tmp_path / "configs")
    assert resolved == text
    assert normalised_path(resolved) == tmp_path / path
    assert base_of(resolved) == tmp_path / "configs"


def test_a_link_on_the_way_of_a_cache_or_weight_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "disk" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "inner")
    assert absolute_path(ConfigPath("link/../cache", tmp_path)).resolve() == tmp_path.resolve() / "disk" / "cache"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_knows_its_folder_too(tmp_path: Path, copied: Callable[[ConfigPath], ConfigPath]) -> None:
    path = copied(ConfigPath("images", tmp_path))
    assert (path, path.path, path.folder) == ("images", tmp_path / "images", tmp_path)


def test_a_home_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert absolute_path(ConfigPath("~/images", Path("/configs"))) == tmp_path / "images"


def test_plain_text_starts_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_path("images") == tmp_path / "images"
    assert base_of("images") == Path()


def test_the_paths_of_a_config_are_resolved_and_other_texts_stay(tmp_path: Path) -> None:
    config = ExperimentConfig(
        name="x",
        data={"train": "images", "validation": 0.2, "test": "held"},
        model={"base": "small_cnn", "weights": {"path": "w.safetensors"}},
        compute={"cache_dir": "cache"},
    )
    resolved = resolve_paths(config, tmp_path)
    assert resolved == config
    for text, name in (
        (resolved.data.train, "images"),
        (resolved.data.test, "held"),
        (resolved.model.weights.path, "w.safetensors"),
        (resolved.compute.cache_dir, "cache"),
    ):
        assert absolute_path(text) == tmp_path / name
    assert resolved.data.validation == 0.2
    assert not isinstance(resolved.name, ConfigPath)


def test_a_section_alone_is_resolved_by_its_place_in_the_config(tmp_path: Path) -> None:
    data = resolve_paths(DataConfig(train="images"), tmp_path, ("data",))
    assert absolute_path(data.train) == tmp_path / "images"
    compute = resolve_paths(ComputeConfig(), tmp_path, ("compute",))
    assert compute.cache_dir is None
