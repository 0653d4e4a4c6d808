"""Whatever a file or a `--set` holds: a valid config, or one ConfigError whose lines name their place."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from transfercli.config import descriptions
from transfercli.config.cross_checks import missing_weights_reason
from transfercli.config.loader import dump, load, resolve
from transfercli.config.schema import ExperimentConfig
from transfercli.errors import ConfigError

JARGON = ("literal[", "function-", "constrained", "tuple[", "Input should", "Value error", "dict[")


def keys(model: Any) -> list[str]:
    """Every key of the schema, at any level."""
    found = list(model.model_fields)
    for hint in descriptions.hints(model).values():
        for member in descriptions.branches(hint):
            if descriptions.is_section(descriptions.unannotated(member)):
                found += keys(descriptions.unannotated(member))
    return found


KEYS = st.sampled_from([*sorted(set(keys(ExperimentConfig))), "extends", "RandomFlip", "no", "0"]) | st.text(max_size=6)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["adam", "vgg16", "small_cnn", "partial", "conv3", "none", ">=0.9", "keras:mnist", "a/b"])
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


def section(model: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Mappings with the right keys and, now and then, the right values."""
    entries: dict[str, st.SearchStrategy[Any]] = {}
    for name, hint in descriptions.hints(model).items():
        options = [
            VALUES,
            *(
                section(m)
                for m in map(descriptions.unannotated, descriptions.branches(hint))
                if descriptions.is_section(m)
            ),
        ]
        options += [st.sampled_from(words) for words in [descriptions.choices_of(hint)] if words]
        entries[name] = st.one_of(options)
    return st.fixed_dictionaries({}, optional=entries)


def judge(text: bytes, *overrides: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_bytes(text)
        try:
            config = load(path, overrides).config
        except ConfigError as error:
            for line in error.message.split("\n"):
                assert line.startswith((str(path), "--set ", "… and ")) or re.fullmatch(r"\d+ problems", line), line
                said = line.split("; allowed:")[0].split(", received ")[0].split(": ", 2)[-1]
                assert not any(word in said for word in JARGON), line
            return
        for command in ("finetune", "pretrain"):
            resolved = resolve(config, command)
            if resolved.model.weights == "imagenet" and missing_weights_reason(resolved.model.base):
                continue  # the command refuses it
            path.write_text(dump(resolved), encoding="utf-8")
            assert load(path).config == resolved


@settings(max_examples=120, deadline=None, derandomize=True, database=None)
@given(section(ExperimentConfig), st.booleans())
def test_any_nested_config(data: dict[str, Any], complete: bool) -> None:
    if complete:
        data = {"name": "x", **data, "data": {"train": "i"}, "model": {"base": "small_cnn"}}
    judge(yaml.safe_dump(data, allow_unicode=True, sort_keys=False).encode())


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_any_mapping(data: dict[str, Any]) -> None:
    judge(yaml.safe_dump(data, allow_unicode=True).encode())


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.binary(max_size=60) | st.text("ab:,-[]{}&*!|>%@'\"#?<~\\\t\n 01.eEx", max_size=60).map(str.encode))
def test_any_bytes(text: bytes) -> None:
    judge(text)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from(sorted(set(keys(ExperimentConfig)))), min_size=1, max_size=4), st.text(max_size=20))
def test_any_override(path: list[str], value: str) -> None:
    text = b"name: x\ndata: {train: i}\nmodel: {base: small_cnn}\n"
    if "\n" not in value:
        judge(text, f"{'.'.join(path)}={value}")
