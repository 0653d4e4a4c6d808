"""Configs of processes that train together, compared with that of the first one."""

from __future__ import annotations

from typing import Any

import pytest

from transfercli.errors import ConfigError, UsageError
from transfercli.workflows.train.distribution import check_same_config, check_same_run_id

FIRST: dict[str, Any] = {
    "data": {"train": "images", "batch_size": 32},
    "training": {"optimizer": {"name": "adam", "learning_rate": 0.001}},
    "compute": {"cache_dir": None, "precision": "auto"},
}


def test_processes_with_different_configs_do_not_train_together() -> None:
    own = FIRST | {"training": {"optimizer": {"name": "adam", "learning_rate": 0.002}}}
    with pytest.raises(ConfigError, match=r"training\.optimizer\.learning_rate: 0\.001 and 0\.002"):
        check_same_config(FIRST, own)
    with pytest.raises(ConfigError, match=r"compute\.precision"):
        check_same_config(FIRST, FIRST | {"compute": {"cache_dir": None, "precision": "float32"}})


def test_a_run_that_only_the_first_process_has_completes_its_config() -> None:
    head = {"taps": None, "normalisation": None}
    check_same_config(FIRST | {"model": {"head": {"taps": ["a", "b"]}}, "seed": 1}, FIRST | {"model": {"head": head}})


def test_places_of_files_and_what_a_host_decides_may_differ() -> None:
    check_same_config(
        FIRST,
        FIRST
        | {"data": {"train": "/disk/images", "batch_size": 32}, "compute": {"cache_dir": "/nvme", "precision": "auto"}},
    )


@pytest.mark.parametrize("own", ["b", None])
def test_processes_with_different_run_ids_do_not_train_together(own: str | None) -> None:
    check_same_run_id("a", "a")
    with pytest.raises(UsageError, match=f"--run-id a, and another one with {own}"):
        check_same_run_id("a", own)
