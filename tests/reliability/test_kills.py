"""Trainings in real processes, killed and stopped: each goes on to the same bits."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.trials import (
    calls_of,
    check_kills_at_calls,
    check_random_kills,
    complaints,
    ending_of,
    run_of,
    start,
    write_world,
)
from tests.reliability.zygote import Zygote


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Iterator[Zygote]:
    folder = tmp_path_factory.mktemp("kills")
    write_world(folder, digits_folder / "digits")
    with Zygote(folder) as started:
        yield started


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["one", "labels"])
def test_killed_in_each_kind_of_call_a_training_goes_on_to_the_same_bits(zygote: Zygote, experiment: str) -> None:
    calls = calls_of(zygote, experiment)
    checkpoint = next(at for at, (kind, _) in enumerate(calls) if kind == "rename")  # the end of the first epoch
    chosen = {kind: at + 1 for at, (kind, _) in enumerate(calls) if at > checkpoint and kind in ("rename", "write")}
    assert check_kills_at_calls(zygote, experiment, [(at, kind) for kind, at in chosen.items()]) == []


@pytest.mark.slow
def test_stopped_and_stopped_at_once_a_training_goes_on_to_the_same_bits(zygote: Zygote) -> None:
    start(zygote, "one/whole")
    wanted = ending_of(run_of(zygote.folder, "one/whole"))
    once = start(zygote, "one/once", signals=[(0.6, signal.SIGTERM)])
    assert once["rc"] == 143
    assert "resume: transfercli pretrain" in once["stderr"] or "start the same command again" in once["stderr"]
    twice = start(zygote, "one/twice", signals=[(0.6, signal.SIGINT), (0.61, signal.SIGTERM)])
    assert twice["rc"] in (143, 130)
    assert [trouble for label in ("one/once", "one/twice") for trouble in complaints(zygote, label, wanted)] == []


@pytest.mark.slow
def test_killed_at_every_call_a_training_goes_on_to_the_same_bits(zygote: Zygote) -> None:
    calls = calls_of(zygote, "one")
    assert check_kills_at_calls(zygote, "one", enumerate((kind for kind, _ in calls), start=1)) == []


@pytest.mark.slow
def test_killed_at_thirty_random_moments_a_training_of_two_phases_goes_on_to_the_same_bits(zygote: Zygote) -> None:
    assert check_random_kills(zygote, "two", 30, random.Random(1)) == []


@pytest.mark.slow
def test_twenty_sigterms_at_random_moments_are_heeded_in_time(zygote: Zygote) -> None:
    whole = start(zygote, "one/whole")
    wanted, draw, stopped = ending_of(run_of(zygote.folder, "one/whole")), random.Random(2), 0
    for trial in range(100):
        label = f"one/sigterm-{trial}"
        done = start(zygote, label, signals=[(draw.uniform(0.1, 0.7) * whole["seconds"], signal.SIGTERM)])
        if done["rc"] == 0:  # it was done before the signal came
            continue
        stopped += 1
        assert (done["rc"], done["stopping"] < 20) == (143, True)
        record = run_of(zygote.folder, label).record
        if record.exists():
            assert json.loads(record.read_text())["status"] == "interrupted"
            assert f"--resume {label}" in done["stderr"]
        assert complaints(zygote, label, wanted) == []
        if stopped == 20:
            return
    pytest.fail(f"only {stopped} runs were still going on when the signal came")
