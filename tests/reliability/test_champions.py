"""A promotion and a rollback, killed at every call that reaches the disk, or on a disk that is full or fails there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.reliability.faults import ACTS, Crash, Disk
from transfercli.errors import TransferError
from transfercli.reporting import Reporter
from transfercli.runs import champions, decisions
from transfercli.runs.decisions import Decision
from transfercli.workflows.retrain.promote import PromoteRequest, promote


def experiment_with_three_runs(folder: Path) -> Path:
    """`a` was champion, `b` is; `c` is a completed run."""
    for run_id in "abc":
        run = folder / "exp" / run_id
        (run / "checkpoints" / "epoch-00001").mkdir(parents=True)
        (run / "checkpoints" / "last").symlink_to("epoch-00001")
        (run / "run.json").write_text(json.dumps({"status": "completed"}))
    for run_id in "ab":
        champions.promote_run(folder / "exp", Decision("promoted", "it was better", run_id, run_id))
    return folder / "exp"


def by_night(folder: Path) -> None:
    champions.promote_run(folder / "exp", Decision("promoted", "it was better", "c", "c"))


def by_hand(folder: Path) -> None:
    promote(PromoteRequest("exp/c", None, folder), Reporter())


def back(folder: Path) -> None:
    promote(PromoteRequest(None, "exp", folder), Reporter())


@pytest.mark.parametrize("act", [name for name in ACTS if name not in ("let", "kill", "kill_half_way")])
@pytest.mark.parametrize("change, wanted", [(by_night, "c"), (by_hand, "c"), (back, "a")])
def test_the_champion_is_always_a_whole_run_and_what_was_logged_is_carried_out(
    tmp_path: Path, act: str, change: Callable[[Path], None], wanted: str
) -> None:
    experiment_with_three_runs(tmp_path / "whole")
    with Disk(str(tmp_path / "whole")).mounted() as disk:
        change(tmp_path / "whole")
    assert len(disk.seen) > 4
    for at in range(1, len(disk.seen) + 1):
        experiment = experiment_with_three_runs(tmp_path / f"{at}")
        with Disk(str(tmp_path / f"{at}"), at, ACTS[act]).mounted(), suppress(TransferError, OSError, Crash):
            change(tmp_path / f"{at}")
        found = champions.champion_of(experiment)
        assert found is not None
        assert found.run_id in ("b", wanted)
        logged = [one.champion for one in decisions.read(experiment)][-1]
        settled = champions.apply_last_promotion(experiment)
        assert settled is not None
        assert settled.run_id == logged == champions.champion_of(experiment).run_id  # type: ignore[union-attr]
        shutil.rmtree(tmp_path / f"{at}")
