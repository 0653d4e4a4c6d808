"""Connection to a Ray cluster: the one that RAY_ADDRESS names, or one of this machine's own cores for one command."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from transfercli.errors import ClusterError, UsageError
from transfercli.io.cores import usable_cores
from transfercli.text import counted, first_line

ADDRESS = "RAY_ADDRESS"
CONNECT_SECONDS = 10.0
CORES_PER_WORKER = 4  # at most; several small networks at a time answer more images a second than one on all cores
STORE_BYTES = 100 << 20  # of a local cluster's object store, which holds only paths and answers
LONGEST_FOLDER = 40  # of Ray's files: the name of a Unix socket in it may have 107 bytes
# Read when Ray is imported. Nothing starts a cluster by itself, and nobody is informed of the use.
SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_AUTO_CONNECT": "0"}
QUIET = {"RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_SCHEDULER_EVENTS": "0", "RAY_TQDM": "0"}
LOCAL = {"RAY_worker_niceness": "0"}  # 15 by default, which on a busy machine leaves them almost no time


@dataclass(frozen=True)
class Workers:
    """Processes that each hold a model. count: how many; cores, gpus: of each."""

    count: int
    cores: int
    gpus: int = 0

    @classmethod
    def of(cls, nodes: list[dict[str, float]]) -> Workers | None:
        """Return as many workers as fit nodes with these numbers of `CPU` and `GPU`; None if there is no node.

        All workers of a cluster have the same size: that of the smallest node. On nodes with GPUs each has one.
        """
        usable = [node for node in nodes if node.get("CPU", 0) >= 1]
        with_gpus = [node for node in usable if node.get("GPU", 0) >= 1]
        if with_gpus:
            gpus = int(sum(node["GPU"] for node in with_gpus))
            return cls(gpus, max(1, min(int(node["CPU"] // node["GPU"]) for node in with_gpus)), 1)
        if not usable:
            return None
        cores = min(CORES_PER_WORKER, *(int(node["CPU"]) for node in usable))
        return cls(sum(int(node["CPU"]) // cores for node in usable), cores)


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that this process is connected to. address: as RAY_ADDRESS names it; "" for a local one."""

    address: str
    workers: Workers

    @property
    def place(self) -> str:
        """Words for a person: the cluster in use."""
        return f"Ray cluster at {self.address}" if self.address else f"Ray cluster on this machine ({ADDRESS} is unset)"

    def has_room(self) -> bool:
        """Return True if a node that is alive could hold a worker."""
        import ray

        return any(
            node.get("CPU", 0) >= self.workers.cores and node.get("GPU", 0) >= self.workers.gpus
            for node in _resources(ray.nodes())
        )


def check_ray_installed() -> None:
    """Raise `UsageError`, with the command that installs it, if Ray Data is missing."""
    missing = [name for name in ("ray", "pyarrow", "pandas") if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"--engine ray needs {', '.join(missing)}, which is not installed", "pip install 'transfercli[ray]'"
        )


@contextmanager
def connected_cluster() -> Iterator[Cluster]:
    """Connect to the cluster that RAY_ADDRESS names, or start one on this machine's usable cores, and leave it again.

    Raises `UsageError` if Ray is not installed or the address cannot be used, `ClusterError` if no cluster answers
    there or it has no node for a worker.
    """
    check_ray_installed()
    address = os.environ.get(ADDRESS, "").strip()
    if address in ("", "local"):
        with _local_files() as folder, _connection(_local_options(folder)):
            yield _of_nodes("")
    else:
        check_address(address)
        with _connection({"address": address}):
            yield _of_nodes(address)


def check_address(address: str) -> None:
    """Raise `UsageError` if an address is of another kind, `ClusterError` if nothing answers there.

    Ray itself tries for minutes, and then ends the process.
    """
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        raise UsageError(
            f"{ADDRESS} is {address!r}; it must be HOST:PORT of a cluster's head node, or auto",
            "from outside of the cluster, run the command on it: ray job submit -- transfercli predict …",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"no Ray cluster answers at {ADDRESS}={address}: {error}",
            f"start it, or correct the address; without {ADDRESS} the cores of this machine do the work",
        ) from error


def _of_nodes(address: str) -> Cluster:
    import ray

    workers = Workers.of(_resources(ray.nodes()))
    if workers is None:
        raise ClusterError(
            f"the Ray cluster at {address or 'this machine'} has {counted(len(ray.nodes()), 'node')}, and none with a"
            " core for a worker",
            "add nodes to it, then start the same command again",
        )
    return Cluster(address, workers)


def _resources(nodes: list[dict[str, Any]]) -> list[dict[str, float]]:
    return [node["Resources"] for node in nodes if node["Alive"]]


def _local_options(folder: str) -> dict[str, Any]:
    return {
        "address": "local",
        "num_cpus": usable_cores(),
        "include_dashboard": False,
        "object_store_memory": STORE_BYTES,
        "_temp_dir": folder,
    }


@contextmanager
def _local_files() -> Iterator[str]:
    """Yield a temporary folder for the files of a local cluster, which is removed in the end.

    A random token protects its ports from other users. It is in the environment only, while the cluster runs.
    """
    parent = tempfile.gettempdir()
    folder = tempfile.mkdtemp(prefix="transfercli-ray-", dir=parent if len(parent) <= LONGEST_FOLDER else "/tmp")
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    former = {name: os.environ.get(name) for name in token}
    os.environ.update(token)
    try:
        yield folder
    finally:
        for name, value in former.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _connection(options: dict[str, Any]) -> Iterator[None]:
    """Connect Ray, quietly and with this process's own signal handlers, and disconnect it, which ends a local one."""
    for name, value in SETTINGS.items():
        os.environ[name] = value
    for name, value in (QUIET | LOCAL).items():
        os.environ.setdefault(name, value)
    import ray
    import ray.data

    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # failures are reported by this program, in its own words
    with _signal_handlers_kept(), _stderr_hidden():
        try:
            ray.init(**options, logging_level=logging.CRITICAL, log_to_driver=False)
        except (ConnectionError, TimeoutError) as error:
            address = options["address"]
            raise ClusterError(
                f"no Ray cluster at {ADDRESS}={address}: {first_line(error)}", "start it, or correct the address"
            ) from error
        except ray.exceptions.AuthenticationError as error:
            raise UsageError(
                f"the Ray cluster at {ADDRESS}={options['address']} refuses this process: {first_line(error)}",
                "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH) as on the cluster",
            ) from error
    try:
        yield
    finally:
        with _signal_handlers_kept(), suppress(Exception):
            ray.shutdown()


@contextmanager
def _stderr_hidden() -> Iterator[None]:
    """Hide the log lines of Ray's C++ libraries while it starts; its failures are exceptions."""
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


@contextmanager
def _signal_handlers_kept() -> Iterator[None]:
    """Restore the handlers of SIGINT and SIGTERM, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    former = [signal.getsignal(number) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, former, strict=True):
            signal.signal(number, handler)
