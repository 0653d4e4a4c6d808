"""Loading a config from a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from transfercli.config import merging
from transfercli.config.loader import LoadedConfig, load, problems
from transfercli.config.locations import Document
from transfercli.errors import ConfigError

Loaded = Callable[..., LoadedConfig]
Refusal = Callable[..., list[str]]
Write = Callable[..., Path]

MINIMAL = "name: flowers\ndata: {train: images}\nmodel: {base: small_cnn}\n"


def test_a_loaded_value_knows_its_line(loaded: Loaded) -> None:
    found = loaded(MINIMAL)
    assert found.where("model.base") == f"{found.path}:3"
    assert found.where("model.head.output") == f"{found.path}:3"
    assert found.where("training.epochs") == f"{found.path}:1"


def test_what_yaml_refused_is_not_refused_again_by_the_schema(refusal: Refusal) -> None:
    lines = refusal("name: x\ndata: {train: images}\nmodel: {base: &b vgg16}\nseed: *b\ntraining: {epochs: .nan}\n")
    assert [line.split(": ")[0] for line in lines] == ["config.yaml:3", "config.yaml:4", "config.yaml:5"]


def test_a_missing_file_is_told_with_its_neighbours(write: Write, tmp_path: Path) -> None:
    write(MINIMAL, "flowers.yaml")
    with pytest.raises(ConfigError, match=r"flower\.yaml: does not exist; there are .*flowers\.yaml"):
        load(tmp_path / "flower.yaml")
    with pytest.raises(ConfigError, match="nor does the folder"):
        load(tmp_path / "nowhere" / "flower.yaml")


def test_the_hint_also_helps_where_there_is_no_file_to_mend(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "mine.yaml")
    assert "config init" in str(caught.value.hint)
    assert "named above" not in str(caught.value.hint)


def test_a_folder_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder, not a file"):
        load(tmp_path)


def test_problems_are_empty_for_a_valid_config(write: Write) -> None:
    assert problems(write(MINIMAL)) == []


def test_content_that_was_read_before_stands_for_a_file_that_changed_since(write: Write) -> None:
    path = write("name: a\ndata: {train: images}\nmodel:\n  base: vgg16\n")
    before = Document.from_json(json.loads(json.dumps(merging.read(path).as_json())))
    path.write_text("name: b\n")
    loaded = load(path, ["seed=3"], before)
    assert (loaded.config.name, loaded.config.seed) == ("a", 3)
    assert loaded.where("model.base") == f"{path}:4"
    assert load(path, (), before).config.seed == 0  # `--set` does not stay in it
