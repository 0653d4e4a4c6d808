"""Start of processes that train together: config and run id are compared before the first one takes the lock."""

from __future__ import annotations

import re
from typing import Any

import pytest

from transfercli.config.schema import ExperimentConfig
from transfercli.errors import ConfigError, UsageError
from transfercli.training.distribution import agreement
from transfercli.workflows.train.distribution import check_same_start


def config(seed: int = 0, **compute: Any) -> ExperimentConfig:
    values = {"name": "x", "seed": seed, "data": {"train": "images"}, "model": {"base": "vgg16"}, "compute": compute}
    return ExperimentConfig.model_validate(values)


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that compares the starts of process 0 and of another one, as the other one sees them."""

    def compare(first: tuple[ExperimentConfig, str | None], other: tuple[ExperimentConfig, str | None]) -> None:
        starts: list[Any] = []
        for own in (first, other):
            monkeypatch.setattr(agreement, "all_of", lambda value, _: starts.append(value) or starts)
            check_same_start(*own, lambda: None)

    return compare


def test_keys_of_a_host_may_differ(compare: Any) -> None:
    compare((config(cache_dir="/a", threads=2), "night"), (config(cache_dir="/b", cache_max_gb=9.0), "night"))


def test_another_config_is_named_with_its_key(compare: Any) -> None:
    with pytest.raises(
        ConfigError, match=re.escape("process 1 was started with another config than process 0")
    ) as error:
        compare((config(), None), (config(seed=7), None))
    assert "it has: seed: 7" in error.value.message


@pytest.mark.parametrize("other", ["idB", None])
def test_another_run_id_is_an_error(compare: Any, other: str | None) -> None:
    with pytest.raises(UsageError, match=f"--run-id idA, process 1 with {other}"):
        compare((config(), "idA"), (config(), other))
