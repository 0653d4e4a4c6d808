"""Launch of several processes: the address of the first one, their number and this one's rank, from the environment.

Slurm's `srun` and Open MPI's `mpirun` set variables of their own. An indexed Job of Kubernetes sets the rank, and its
manifest `KERAS_DISTRIBUTION_JOB_ADDRESSES` and `KERAS_DISTRIBUTION_NUM_PROCESSES`. Any other launcher sets these two
and `KERAS_DISTRIBUTION_PROCESS_ID`: the names are those of `keras.distribution.initialize`. They come before a
launcher's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from transfercli.errors import UsageError

ADDRESSES, COUNT, RANK = (f"KERAS_DISTRIBUTION_{name}" for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID"))
# Launchers: the variables of the number of processes and of the rank; "": it sets none.
_LAUNCHERS = {
    "Slurm": ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
    "Open MPI": ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    "Kubernetes": ("", "JOB_COMPLETION_INDEX"),
}
_FIRST_PORT, _PORTS = 61_440, 4_096  # the highest ones, where a job's number chooses one


@dataclass(frozen=True)
class Launch:
    """Processes that were launched together. address: HOST:PORT of the first one; rank: of this one, from 0.

    local: number of this process among those of its host if there are several on it, which then use a device each.
    """

    address: str
    count: int
    rank: int
    local: int | None = None


def launch(environment: Mapping[str, str] = os.environ) -> Launch | None:
    """Return the launch that the environment describes; None if this is a single process.

    Raises `UsageError` if a part is missing or invalid.
    """
    parts = {name: environment.get(name, "").strip() for name in (ADDRESSES, COUNT, RANK)}
    launcher = next((name for name, (size, _) in _LAUNCHERS.items() if size and environment.get(size)), "")
    if not launcher and environment.get("JOB_COMPLETION_INDEX") and (parts[ADDRESSES] or parts[COUNT]):
        launcher = "Kubernetes"
    if not any(parts.values()) and not launcher:
        return None
    size, place = _LAUNCHERS.get(launcher, ("", ""))
    parts[COUNT] = parts[COUNT] or environment.get(size, "")
    parts[RANK] = parts[RANK] or environment.get(place, "")
    if parts[COUNT] == "1":
        return None
    parts[ADDRESSES] = parts[ADDRESSES] or _slurm_address(environment) or _open_mpi_address(environment)
    if missing := [name for name, value in parts.items() if not value]:
        given = ", ".join(f"{name}={value}" for name, value in parts.items() if value)
        raise UsageError(
            f"the environment describes several processes only in part: {given}; {' and '.join(missing)}"
            f" {'is' if len(missing) == 1 else 'are'} not set",
            f"set all three of {ADDRESSES} (HOST:PORT of the first process), {COUNT} and {RANK}, or none of them",
        )
    count, rank = _number(COUNT, parts[COUNT], 1, 1_000_000), _number(RANK, parts[RANK], 0, 1_000_000)
    if rank >= count:
        raise UsageError(f"{RANK} is {rank}, but there are {count} processes", f"use 0 to {count - 1}, each once")
    return Launch(_address(parts[ADDRESSES], count), count, rank, _local(environment))


def _number(name: str, text: str, least: int, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise UsageError(f"{name} is {text[:80]!r}, not a whole number from {least}", "set it as the launcher does")
    return int(text)


def _address(text: str, count: int) -> str:
    """Return the first of one address or of those of all processes. Raises `UsageError` if it is none."""
    addresses = [part.strip() for part in text.split(",")]
    if len(addresses) not in (1, count):
        raise UsageError(
            f"{ADDRESSES} has {len(addresses)} addresses for {count} processes",
            "name the address of the first process, or those of all in their order",
        )
    match = re.fullmatch(r"(\S+):([0-9]{1,5})", addresses[0])
    if match is None or not 1 <= int(match[2]) <= 65_535 or not _may_be_host(match[1]):
        raise UsageError(f"{ADDRESSES} is {text[:120]!r}, not HOST:PORT", "name the host and a free port of process 0")
    return addresses[0]


def _may_be_host(name: str) -> bool:
    """Return False for a name that no resolver takes: with a part that is empty or longer than 63 characters."""
    try:
        name.encode("idna")
    except UnicodeError:
        return False
    return True


def _slurm_address(environment: Mapping[str, str]) -> str:
    """Return the first host of a Slurm step with a port that follows from the job's number, or ""."""
    nodes, job = environment.get("SLURM_STEP_NODELIST", ""), environment.get("SLURM_JOB_ID", "")
    match = re.match(r"([^\[,]+)(?:\[(\w+))?", nodes)  # node1,node2 or node[01-04,07]
    if match is None or not job.isdecimal():
        return ""
    return f"{match.group(1)}{match.group(2) or ''}:{_FIRST_PORT + int(job) % _PORTS}"


def _open_mpi_address(environment: Mapping[str, str]) -> str:
    """Return the launcher's host, where rank 0 runs by default, with a port that follows from the job, or ""."""
    match = re.match(r"(\d+)\.\d+;tcp6?://\[?([^,\]]+?)[,\]:]", environment.get("OMPI_MCA_orte_hnp_uri", ""))
    if match is None:
        return ""
    return f"{match.group(2)}:{_FIRST_PORT + int(match.group(1)) // 4096 % _PORTS}"


def _local(environment: Mapping[str, str]) -> int | None:
    """Return the number of this process on its host, if the launcher names it and there are several."""
    tasks = re.match(r"\d+", environment.get("SLURM_STEP_TASKS_PER_NODE", ""))
    several = tasks is not None and int(tasks.group()) > 1
    several |= environment.get("OMPI_COMM_WORLD_LOCAL_SIZE", "1") not in ("", "1")
    number = environment.get("SLURM_LOCALID") or environment.get("OMPI_COMM_WORLD_LOCAL_RANK") or ""
    return int(number) if several and number.isdecimal() else None
