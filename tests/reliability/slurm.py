"""A Slurm cluster of two hosts for tests, each a network namespace with one core: real daemons, no accounting."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.reliability.hosts import Host, Hosts, Started, reason_for_no_hosts

TOOLS = ("slurmctld", "slurmd", "sbatch", "srun", "scontrol")
CONFIG = """
ClusterName=test
SlurmctldHost={controller}({address})
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{nodes}
PartitionName=low Nodes=ALL Default=YES State=UP PriorityTier=1
PartitionName=high Nodes=ALL State=UP PriorityTier=2 PreemptMode=OFF
"""


def reason_for_no_slurm() -> str:
    """Return the reason why no cluster can be started here; "" if one can."""
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"{', '.join(missing)} missing"
    return reason_for_no_hosts()


class Cluster:
    """Two hosts with Slurm. environment: of commands and jobs."""

    def __init__(self, hosts: list[Host], folder: Path, environment: Mapping[str, str]) -> None:
        self.hosts, self.folder = hosts, folder
        nodes = "\n".join(f"NodeName={host.name} NodeAddr={host.address} CPUs=1 RealMemory=3000" for host in hosts)
        first = hosts[0]
        config = folder / "slurm.conf"
        config.write_text(CONFIG.format(controller=first.name, address=first.address, folder=folder, nodes=nodes))
        self.environment = {**environment, "SLURM_CONF": str(config)}
        for name in ("state", *(f"spool-{host.name}" for host in hosts)):
            (folder / name).mkdir()
        self.daemons = [self._start(first, "slurmctld", "-D", "-c")]
        self.daemons += [self._start(host, "slurmd", "-D", "-N", host.name) for host in hosts]
        self.until(lambda: self.run("sinfo", "-h", "-o", "%T %D").strip() == "idle 2", "both nodes are idle")

    def _start(self, host: Host, *command: str) -> Started:
        return host.start(command, self.environment, self.folder)

    def run(self, *command: str) -> str:
        """Run a command on the first host and return what it prints; a failure prints nothing."""
        return self._start(self.hosts[0], *command).wait(60).stdout

    def submit(self, *arguments: str, **environment: str) -> str:
        """Submit a job with `sbatch`, and return its number."""
        command = ("env", *(f"{name}={value}" for name, value in environment.items()), "sbatch", "--parsable")
        ended = self._start(self.hosts[0], *command, *arguments).wait(60)
        assert ended.code == 0, ended.stderr
        return ended.stdout.strip()

    def state(self, job: str) -> str:
        """Return the state of a job, such as RUNNING; of an array, those of its tasks."""
        lines = self.run("scontrol", "show", "job", "-o", job).splitlines()
        states = [word.partition("=")[2] for line in lines for word in line.split() if word.startswith("JobState=")]
        return " ".join(sorted(set(states)))

    def finish(self, job: str, seconds: float = 600) -> str:
        """Wait for the end of a job and return its state; a requeued job does not wait for its two minutes."""

        def ended() -> bool:
            state = self.state(job)
            if "PENDING" in state and "BeginTime" in self.run("squeue", "-h", "-o", "%r", "-j", job):
                self.run("scontrol", "update", f"JobId={job}", "StartTime=now")
            return not {"PENDING", "RUNNING", "COMPLETING", "REQUEUED", "CONFIGURING"} & set(state.split())

        self.until(ended, f"job {job} has ended", seconds)
        return self.state(job)

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 600) -> None:
        """Wait until a condition holds. Raises `TimeoutError`, with what the daemons say, if it does not."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                said = "\n".join(daemon.errors()[-2000:] for daemon in self.daemons)
                raise TimeoutError(f"not within {seconds} s: {what}\n{said}")
            time.sleep(0.5)

    def close(self) -> None:
        """End all jobs and daemons."""
        self.run("scancel", "--user=root")
        time.sleep(1)
        for daemon in reversed(self.daemons):
            daemon.send(signal.SIGTERM)
            daemon.wait(60)


@contextmanager
def cluster(folder: Path, environment: Mapping[str, str]) -> Iterator[Cluster]:
    """Yield a cluster whose files are in `folder`, and end it."""
    with Hosts(2) as hosts:
        started = Cluster(hosts, folder, {**os.environ, **environment})
        try:
            yield started
        finally:
            started.close()
