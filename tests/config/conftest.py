"""Ways to load a config and to read the messages about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from transfercli.config.loader import LoadedConfig, load
from transfercli.errors import ConfigError

MINIMAL = "name: flowers\ndata: {train: images}\nmodel: {base: small_cnn}\n"


@pytest.fixture
def loaded(write: Callable[..., Path]) -> Callable[..., LoadedConfig]:
    """`loaded(text, *overrides)`: the config of a file with this text."""
    return lambda text, *overrides: load(write(text), overrides)


@pytest.fixture
def refusal(write: Callable[..., Path]) -> Callable[..., list[str]]:
    """`refusal(text, *overrides)`: the lines of the error, the file's name cut to `config.yaml`."""

    def refused(text: str | bytes, *overrides: str) -> list[str]:
        path = write(text)
        with pytest.raises(ConfigError) as caught:
            load(path, overrides)
        lines = caught.value.message.replace(f"{path.parent}/", "").split("\n")
        if len(lines) > 1:
            assert lines.pop(0) == f"{len(lines)} problems"
        return lines

    return refused
