"""Ten thousand made-up configs through the program: a valid one, or exit 3, and never a traceback."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.config.test_any_input import KEYS, VALUES, section
from transfercli.cli.commands.config import validate
from transfercli.config.schema import ExperimentConfig

COMPLETE = {"name": "x", "data": {"train": "i"}, "model": {"base": "small_cnn", "weights": "none"}}
CONFIGS = (
    section(ExperimentConfig)
    | section(ExperimentConfig).map(lambda found: {**found, **COMPLETE})
    | st.dictionaries(KEYS, VALUES, max_size=5)
).map(lambda found: yaml.safe_dump(found, allow_unicode=True, sort_keys=False).encode())
TEXTS = st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
MANY = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def judge(text: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_bytes(text)
        try:
            validate(configs=[path], overrides=None, runs=Path(folder), json=True, quiet=False, verbose=False)
        except SystemExit as left:
            code: Any = left.code
        else:
            code = 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert code in (0, 3), captured.err
    assert ("error" in told) == (code == 3)
    assert "Traceback" not in captured.err
    assert "\x1b" not in captured.err


@settings(MANY, max_examples=200)
@given(CONFIGS | TEXTS)
def test_a_made_up_config_is_valid_or_exit_3(capsys: pytest.CaptureFixture[str], text: bytes) -> None:
    judge(text, capsys)


@pytest.mark.slow
@settings(MANY, max_examples=9_000)
@given(CONFIGS)
def test_nine_thousand_made_up_configs(capsys: pytest.CaptureFixture[str], text: bytes) -> None:
    judge(text, capsys)


@pytest.mark.slow
@settings(MANY, max_examples=1_000)
@given(TEXTS)
def test_a_thousand_texts(capsys: pytest.CaptureFixture[str], text: bytes) -> None:
    judge(text, capsys)
