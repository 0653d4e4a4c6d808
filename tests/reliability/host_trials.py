"""Trainings by two hosts, one of which dies: survivors end in time, and the restarted training has the same bits."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.reliability.host_zygotes import Zygote
from tests.reliability.hosts import Ended, Host, Hosts, Started

TIMEOUT = 8  # `compute.peer_timeout` of the trainings
SPARE = 10.0  # seconds after the time-out in which a survivor ends
STOP = 20.0  # seconds in which all end after a signal
PATIENCE = 600.0  # seconds in which a training ends on a machine with other work
EPOCHS = 4
CONFIG = f"""\
name: hosts
seed: 3
data: {{train: digits/train, image_size: 18, batch_size: 96}}
augmentation: {{layers: [{{RandomBrightness: {{factor: 0.2}}}}]}}
model: {{base: small_cnn}}
transfer: {{strategy: scratch}}
training: {{epochs: {EPOCHS}, optimizer: {{learning_rate: 0.01}}}}
compute: {{distribution: data_parallel, peer_timeout: {TIMEOUT}}}
"""
PORT = 5555

Pair = Sequence[Started]


@dataclass(frozen=True)
class Fault:
    """A signal to the process of a rank, or the loss of its host's link if it is 0, and what follows.

    codes: exit codes by rank, KILLED for a process that does not end by itself; seconds: in which the others end.
    """

    rank: int
    signum: int
    codes: tuple[int, int]
    seconds: float

    def happen(self, hosts: Sequence[Host], pair: Pair) -> None:
        if self.signum:
            pair[self.rank].send(self.signum)
        else:
            hosts[self.rank].set_link(up=False)


KILLED = -int(signal.SIGKILL)
FAULTS = {
    "kill -9 of process 0": Fault(0, signal.SIGKILL, (KILLED, 75), TIMEOUT + SPARE),
    "kill -9 of process 1": Fault(1, signal.SIGKILL, (75, KILLED), TIMEOUT + SPARE),
    "SIGSTOP of process 0": Fault(0, signal.SIGSTOP, (KILLED, 75), TIMEOUT + SPARE),
    "SIGSTOP of process 1": Fault(1, signal.SIGSTOP, (75, KILLED), TIMEOUT + SPARE),
    "link of host 1 down": Fault(1, 0, (75, 75), TIMEOUT + SPARE),
    "SIGTERM to process 0": Fault(0, signal.SIGTERM, (143, 143), STOP),
    "SIGTERM to process 1": Fault(1, signal.SIGTERM, (143, 143), STOP),
}


class World:
    """Two hosts with a zygote each, and a folder that both see, with the digits and a config."""

    def __init__(self, folder: Path, hosts: Sequence[Host], stack: ExitStack) -> None:
        self.folder, self.hosts = folder, hosts
        self.zygotes = [Zygote(host, self._environment(host)) for host in hosts]
        for zygote in self.zygotes:
            stack.callback(zygote.close)

    def start(self, *arguments: str, ranks: Sequence[int] = (0, 1)) -> list[Started]:
        """Start `transfercli ARGUMENT…` on both hosts, or as some of the two processes."""
        launch = {
            "KERAS_DISTRIBUTION_JOB_ADDRESSES": f"{self.hosts[0].name}:{PORT}",
            "KERAS_DISTRIBUTION_NUM_PROCESSES": str(len(self.hosts)),
        }
        return [
            self.zygotes[rank].start(arguments, {**launch, "KERAS_DISTRIBUTION_PROCESS_ID": str(rank)}, self.folder)
            for rank in ranks
        ]

    def train(self, run_id: str) -> list[Started]:
        """Start the training of a run on both hosts."""
        return self.start("pretrain", "hosts.yaml", "--run-id", run_id)

    def run(self, run_id: str) -> Path:
        return self.folder / "runs" / "hosts" / run_id

    def epochs(self, run_id: str) -> list[dict[str, Any]]:
        """Return the lines of the finished epochs, without what depends on the clock."""
        metrics = self.run(run_id) / "metrics.jsonl"
        lines = map(json.loads, metrics.read_text().splitlines()) if metrics.exists() else ()
        return [{key: value for key, value in line.items() if "second" not in key} for line in lines]

    def status(self, run_id: str) -> str:
        return str(json.loads((self.run(run_id) / "run.json").read_text())["status"])

    def bits(self, run_id: str) -> str:
        """Return a hash of the weights, the optimizer's state and the metrics of a finished run."""
        digest = hashlib.sha256(json.dumps(self.epochs(run_id)).encode())
        for name in ("best", "last"):
            for path in sorted((self.run(run_id) / "checkpoints" / name).iterdir()):
                if path.suffix == ".safetensors":
                    digest.update(path.read_bytes())
        return digest.hexdigest()

    def _environment(self, host: Host) -> dict[str, str]:
        """Return the variables of a training. Compiled steps are kept: only the first training waits long for XLA."""
        cache = str(self.folder / f"xla-{host.name}")
        return {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "OMP_NUM_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TRANSFERCLI_CACHE": str(self.folder / f"cache-{host.name}"),
        }


@contextmanager
def two_hosts(folder: Path) -> Iterator[World]:
    """Make two hosts whose trainings read and write `folder`."""
    from transfercli.data.samples.writing import write_sample

    write_sample("digits", folder / "digits")
    (folder / "hosts.yaml").write_text(CONFIG)
    with ExitStack() as stack:
        hosts = stack.enter_context(Hosts(2))
        yield World(folder, hosts, stack)


def undisturbed(world: World) -> str:
    """Train a run without a fault, and return its bits."""
    for started in world.train("undisturbed"):
        ended = started.wait(PATIENCE)
        assert ended.code == 0, ended.stderr
    return world.bits("undisturbed")


@dataclass
class Outcome:
    """One trial. complaints: what was wrong; codes: by rank; seconds: from the fault to the end of the last survivor.

    epoch: the last whole one before the fault.
    """

    complaints: list[str]
    codes: list[int]
    seconds: float
    epoch: int


def check(world: World, name: str, run_id: str, moment: float, expected: str) -> Outcome:
    """Train, let a fault happen, and train on; `moment`, 0 to 1, chooses the epoch and the time within it."""
    fault, at = FAULTS[name], 1 + int(moment * (EPOCHS - 1))
    pair = world.train(run_id)
    _wait_for_epoch(world, run_id, at, pair)
    time.sleep(moment % 0.1 * 10)  # somewhere in the next epoch
    complaints: list[str] = []
    epoch, started = len(world.epochs(run_id)), time.monotonic()
    fault.happen(world.hosts, pair)
    ends = [_end(each, fault, rank, complaints) for rank, each in enumerate(pair)]
    seconds = time.monotonic() - started
    for each in pair:
        each.send(signal.SIGKILL)  # one that was frozen
        each.process.wait()
    for host in world.hosts:
        host.set_link(up=True)
    for rank, end in enumerate(ends):
        if end is not None and end.code != fault.codes[rank]:
            complaints.append(f"process {rank} ended with {end.code}, not {fault.codes[rank]}: {end.stderr[-600:]}")
        if end is not None and end.code > 0 and f"--run-id {run_id}" not in end.stderr:
            complaints.append(f"process {rank} does not say how to go on: {end.stderr[-600:]}")
    frozen = name == "SIGSTOP of process 0"  # it holds the lock of the run's record
    if (status := world.status(run_id)) != ("running" if frozen else "interrupted"):
        complaints.append(f"the status is {status}")
    for each in world.train(run_id):
        again = each.wait(PATIENCE)
        if again.code != 0:
            complaints.append(f"started again, it ended with {again.code}: {again.stderr[-600:]}")
    if world.bits(run_id) != expected:
        complaints.append("started again, it ended with other bits")
    return Outcome(complaints, [each.process.wait() for each in pair], seconds, epoch)


def _end(started: Started, fault: Fault, rank: int, complaints: list[str]) -> Ended | None:
    """Wait for a process; one that was frozen, or that does not end in time, is killed."""
    if fault.codes[rank] == KILLED:
        return None
    try:
        return started.wait(fault.seconds)
    except TimeoutError as error:
        complaints.append(f"process {rank}: {error}")
        return None


def _wait_for_epoch(world: World, run_id: str, number: int, pair: Pair) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(world.epochs(run_id)) < number:
        if time.monotonic() > deadline or any(each.has_ended() for each in pair):
            raise TimeoutError(f"no epoch {number}:\n{pair[0].errors()}\n{pair[1].errors()}")
        time.sleep(0.05)
