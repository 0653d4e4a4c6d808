"""A dumped config comes back equal, from our loader and from any other."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from transfercli.config.dump import dump, quoted
from transfercli.config.loader import LoadedConfig, resolve
from transfercli.config.schema import ExperimentConfig
from transfercli.config.strict_yaml import parse

Loaded = Callable[..., LoadedConfig]

MINIMAL = "name: flowers\ndata: {train: images}\nmodel: {base: small_cnn}\n"
TRICKY = [
    "no", "yes", "On", "OFF", "y", "N", "null", "~", "true", "True", "1e-4", "1E3", "12", "0o17", "0x1F", "012",
    "1_000", "1:30", "12:30:45", "2026-01-01", "2026-01-01T10:00:00Z", ".5", ".inf", ".nan", "-", "- a", "a: b", "a #b",
    "#a", "&a", "*a", "!a", "!!str", "{a: 1}", "[a]", "'a'", '"a"', "|", ">", "%a", "@a", "`a", "=", "<<", "<=0.05",
    ">=0.9", " a", "a ", "a\nb", "é", "日本", "😀", "a\\b", "..", "./a", "../a/b.h5", "~/a", "keras:cifar10", "a:",
    "?", "? a", "---", "...", "recall[no]", "1e", "+1", "-1", "0", "00", "a" * 300, "a b" * 60,
]  # fmt: skip


def example(**changes: Any) -> ExperimentConfig:
    values: dict[str, Any] = {"name": "flowers", "data": {"train": "images"}, "model": {"base": "small_cnn"}, **changes}
    return ExperimentConfig.model_validate(values)


def read_back(config: ExperimentConfig) -> ExperimentConfig:
    document = parse(dump(config), "dump")
    assert document.problems == []
    return ExperimentConfig.model_validate(document.value)


def old_yaml(text: str) -> Any:
    """PyYAML's own reader, which is a YAML 1.1 one."""
    return yaml.safe_load(text)


@pytest.mark.parametrize("text", TRICKY)
def test_every_text_comes_back_as_text(text: str) -> None:
    config = example(data={"train": text}, training={"class_weights": {text: 1.0}})
    assert read_back(config) == config
    assert old_yaml(dump(config))["data"]["train"] == text
    assert list(old_yaml(dump(config))["training"]["class_weights"]) == [text]
    assert old_yaml(quoted(text)) == text
    assert "\n" not in quoted(text) or "\n" in text


@pytest.mark.parametrize("number", [1e-4, 1e-10, 0.1, 1e16, 5e-324, 1.7976931348623157e308, 0.30000000000000004])
def test_every_number_comes_back_to_the_last_bit(number: float) -> None:
    config = example(training={"optimizer": {"learning_rate": number}})
    assert read_back(config).training.optimizer.learning_rate == number
    assert old_yaml(dump(config))["training"]["optimizer"]["learning_rate"] == number


def test_sizes_lists_layers_and_phases_come_back() -> None:
    config = example(
        data={"train": "i", "image_size": [48, 64], "test": None},
        augmentation={"layers": [{"RandomFlip": {"mode": "horizontal"}}, {"RandomZoom": {"height_factor": [0.1]}}]},
        model={"base": {"run": "old"}, "weights": {"run": "old", "until": "conv2"}, "head": {"hidden": [8, 4]}},
        transfer={"phases": [{"epochs": 2}, {"unfreeze": 3, "epochs": 1, "learning_rate": 1e-5}]},
        evaluation={"gates": {"accuracy": 0.9, "recall[no]": ">=0.5"}},
        training={"early_stopping": {"patience": 2}},
    )  # fmt: skip
    assert read_back(config) == config


def test_the_dump_holds_every_key_and_its_defaults_in_the_schemas_order(loaded: Loaded) -> None:
    config = resolve(loaded(MINIMAL).config, "finetune")
    values = old_yaml(dump(config))
    assert list(values) == list(ExperimentConfig.model_fields)
    assert values["training"]["optimizer"] == {
        "name": "adam",
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "momentum": 0.9,
        "clip_norm": None,
        "accumulate": 1,
        "ema": None,
    }
    assert (values["transfer"]["strategy"], values["data"]["image_size"]) == ("feature_extraction", 32)


def test_a_dump_loads_from_a_file_and_stays_the_same(loaded: Loaded, tmp_path: Path) -> None:
    config = resolve(loaded(MINIMAL).config, "pretrain")
    again = loaded(dump(config)).config
    assert again == config
    assert dump(resolve(again, "pretrain")) == dump(config)


TEXTS = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\ufffe\uffff\ufeff"), min_size=1
)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(train=TEXTS, labels=st.dictionaries(TEXTS, st.floats(1e-300, 1e300), max_size=4), rate=st.floats(1e-300, 10))
def test_any_config_comes_back_equal(train: str, labels: dict[str, float], rate: float) -> None:
    config = example(
        data={"train": train}, training={"class_weights": labels or None, "optimizer": {"learning_rate": rate}}
    )
    assert read_back(config) == config
    assert old_yaml(dump(config)) == config.model_dump(mode="json")


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.text(string.digits + "eE+-._:xo~ynaft", min_size=1, max_size=8))
def test_what_looks_like_a_number_but_is_text_comes_back_as_text(text: str) -> None:
    assert read_back(example(data={"train": text})).data.train == text
    assert old_yaml(quoted(text)) == text
