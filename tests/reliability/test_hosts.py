"""Trainings by two hosts, one of which dies, is cut off or stopped: all end in time, and the run goes on as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.host_trials import FAULTS, World, check, two_hosts, undisturbed
from tests.reliability.hosts import reason_for_no_hosts

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, str]]:
    """Two hosts, and the bits of a run that nothing disturbed."""
    if reason := reason_for_no_hosts():
        pytest.skip(reason)
    folder: Path = tmp_path_factory.mktemp("hosts")
    with two_hosts(folder) as both:
        yield both, undisturbed(both)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_a_host_ends_all_in_time_and_the_run_goes_on_with_the_same_bits(
    world: tuple[World, str], name: str
) -> None:
    both, bits = world
    run_id = name.replace(" ", "-")

    assert check(both, name, run_id, 0.35, bits).complaints == []


def test_a_process_that_does_not_come_is_named(world: tuple[World, str]) -> None:
    both, _ = world
    first = both.start("pretrain", "hosts.yaml", "--run-id", "alone", "--set", "compute.peer_timeout=1", ranks=[0])[0]

    ended = first.wait(120)

    assert ended.code == 75
    assert "stopped: 1 of 2 processes came within 5 s; missing: 1" in ended.stderr
