"""Worker processes of a sweep, of which those here train nothing: they do what a trial's value says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from transfercli.errors import DiskError, Interrupted
from transfercli.reporting import Reporter
from transfercli.workflows.sweep import pool
from transfercli.workflows.sweep.pool import train_trials
from transfercli.workflows.sweep.result import TrialRow
from transfercli.workflows.sweep.trials import TrialSpec

# A worker: `does` of a trial is one of complete, kill, segfault, disk, epochs (asks after every epoch) and hang.
WORKER = """
import json, os, signal, sys

def send(**message):
    print(json.dumps(message), flush=True)

for line in sys.stdin:
    message = json.loads(line)
    if "trial" not in message:
        continue
    trial = message["trial"]
    done = {"number": trial["number"], "values": trial["values"], "state": "completed", "run": None, "runs": [],
            "value": 1.0, "steps": [], "seconds": 0.1, "reason": None, "code": None}
    does = trial["values"]["does"]
    send(info=f"process {os.getpid()}")
    if does == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif does == "segfault":
        print("MemoryError: no more", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    elif does == "disk":
        send(fatal=["room", "the disk is full", "free some"])
        continue
    elif does == "bug":
        done |= {"state": "failed", "value": None, "reason": "bug", "code": 1}
    elif does == "epochs":
        for epoch in (1, 2, 3):
            send(epoch={"epoch": epoch}, total=9)
            send(step=epoch, value=epoch / 10)
            if json.loads(sys.stdin.readline())["prune"]:
                done |= {"state": "pruned", "value": None, "reason": "no better"}
                break
    elif does == "hang":
        send(progress=["epoch 1", 1, 9, "steps"])
        for line in sys.stdin:
            if "stop" in json.loads(line):
                done |= {"state": "interrupted", "value": None}
                break
        else:
            break
    send(done=done)
"""


@dataclass
class Source:
    """Trials that do one thing each."""

    does: list[str]
    prunes_at: int = 99
    rows: list[TrialRow] = field(default_factory=list)
    reported: list[tuple[int, int, float]] = field(default_factory=list)

    @property
    def progress(self) -> tuple[int, int]:
        return len(self.rows), len(self.rows) + len(self.does)

    def next(self) -> TrialSpec | None:
        if not self.does:
            return None
        number = len(self.rows) + 100 * len(self.does)
        return TrialSpec(Path("c.yaml"), (), Path("runs"), "sweep", number, {"does": self.does.pop(0)})

    def report(self, number: int, epoch: int, value: float) -> bool:
        self.reported.append((number, epoch, value))
        return epoch >= self.prunes_at

    def done(self, row: TrialRow) -> None:
        self.rows.append(row)


class Recorder(Reporter):
    """Reporter that keeps lines, and stops at the first progress of a trial if asked to."""

    def __init__(self, stop: int = 0) -> None:
        self.lines: list[str] = []
        self.stop = stop

    def info(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, stage: str, done: int, total: int, unit: str = "images") -> None:
        if self.stop and stage == "epoch 1":
            raise Interrupted(self.stop)


@pytest.fixture(autouse=True)
def _worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    monkeypatch.setattr(pool, "WORKER", [str(script)])


def outcomes(source: Source) -> list[tuple[Any, ...]]:
    return [(row.values["does"], row.state, row.code) for row in source.rows]


def test_one_process_trains_trial_after_trial() -> None:
    source, reporter = Source(["complete"] * 3), Recorder()
    train_trials(source, 1, reporter)
    assert outcomes(source) == [("complete", "completed", None)] * 3
    assert len({line for line in reporter.lines if line.startswith("process")}) == 1


def test_a_worker_that_dies_is_a_failed_trial_and_a_new_one_trains_the_next() -> None:
    source, reporter = Source(["kill", "complete", "segfault", "complete", "bug", "complete"]), Recorder()
    train_trials(source, 1, reporter)
    assert outcomes(source) == [
        ("kill", "failed", 8),
        ("complete", "completed", None),
        ("segfault", "failed", 8),
        ("complete", "completed", None),
        ("bug", "failed", 1),
        ("complete", "completed", None),
    ]
    assert source.rows[0].reason == "its process was killed, most likely because memory ran out"
    assert source.rows[2].reason == "its process ended by SIGSEGV: MemoryError: no more"
    assert len({line for line in reporter.lines if line.startswith("process")}) == 4  # after a bug, too


def test_the_search_hears_of_every_epoch_and_ends_a_trial_early() -> None:
    source = Source(["epochs"], prunes_at=2)
    train_trials(source, 1, Reporter())
    assert source.reported == [(100, 1, 0.1), (100, 2, 0.2)]
    assert [(row.state, row.reason) for row in source.rows] == [("pruned", "no better")]


def test_a_full_disk_ends_the_sweep_and_no_trial_has_failed() -> None:
    source = Source(["hang", "disk", "complete"])
    with pytest.raises(DiskError, match="the disk is full"):
        train_trials(source, 2, Reporter())
    assert sorted(outcomes(source)) == [("disk", "interrupted", None), ("hang", "interrupted", None)]
    assert source.does == ["complete"]


def test_a_signal_stops_all_running_trials_at_a_safe_point() -> None:
    source = Source(["hang", "hang", "complete"])
    with pytest.raises(Interrupted) as stop:
        train_trials(source, 2, Recorder(signal.SIGINT))
    assert stop.value.signum == signal.SIGINT
    assert outcomes(source) == [("hang", "interrupted", None)] * 2


def test_workers_notice_that_their_supervisor_was_killed(tmp_path: Path) -> None:
    script = f"""
import sys
from transfercli.workflows.sweep import pool
from tests.workflows.sweep.test_pool import Source, Recorder
pool.WORKER = [{str(tmp_path / "worker.py")!r}]
class Printer(Recorder):
    def progress(self, stage, done, total, unit="images"):
        if stage == "epoch 1":
            print(self.lines[-1], flush=True)
pool.train_trials(Source(["hang"]), 1, Printer())
"""
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    ) as one:
        assert one.stdout is not None
        worker = int(one.stdout.readline().split()[-1])
        handle = os.pidfd_open(worker)
        one.kill()
    import select

    assert select.select([handle], [], [], 30)[0] == [handle]  # it has ended
    os.close(handle)


def test_a_trial_survives_the_way_through_a_pipe() -> None:
    spec = TrialSpec(Path("c.yaml"), ("seed=1",), Path("runs"), "s", 7, {"model.head.hidden": [1]}, "val_loss")
    assert TrialSpec.from_json(json.loads(json.dumps(spec.as_json()))) == spec
