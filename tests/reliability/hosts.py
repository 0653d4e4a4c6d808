"""Hosts for tests of distributed training: network namespaces with their own host name, address and link.

Every host is joined to a switch, a bridge in a namespace of its own, so nothing leaves this machine and its own network
stays as it is. The namespaces end with the process that made them, however it ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

NETWORK = "10.222.0"
TOOLS = ("ip", "nsenter", "taskset", "unshare")


@cache
def reason_for_no_hosts() -> str:
    """Return the reason why namespaces cannot be made here; "" if they can."""
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"{', '.join(missing)} missing"
    try:
        with Hosts(1):
            return ""
    except (OSError, subprocess.CalledProcessError) as error:
        return f"network namespaces cannot be made here: {error}"


@dataclass
class Ended:
    """How a process ended. code: its exit code, negative for a signal; seconds: from the call of `wait` to the end."""

    code: int
    seconds: float
    stdout: str
    stderr: str


class Process(Protocol):
    """A process of which the exit code can be had; `wait` raises `subprocess.TimeoutExpired` if it runs longer."""

    pid: int

    def wait(self, timeout: float | None = None) -> int: ...


@dataclass
class Started:
    """A process on a host, with its output in files."""

    process: Process
    stdout: Path
    stderr: Path

    def send(self, signum: int) -> None:
        """Send a signal; nothing if the process has ended."""
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, signum)

    def has_ended(self) -> bool:
        """Return True if the process has ended."""
        try:
            self.process.wait(0)
        except subprocess.TimeoutExpired:
            return False
        return True

    def wait(self, limit: float) -> Ended:
        """Wait for the end. Raises `TimeoutError`, with what the process printed, if it still runs after `limit` s."""
        started = time.monotonic()
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"still running after {limit} s:\n{self.errors()}") from None
        seconds = time.monotonic() - started
        return Ended(code, seconds, self.stdout.read_text(errors="replace"), self.errors())

    def errors(self) -> str:
        """Return what the process has written to stderr so far."""
        return self.stderr.read_text(errors="replace")


class Host:
    """One host: a network namespace with the name `name`, which resolves to 127.0.1.1 as on Debian."""

    def __init__(self, number: int, holder: subprocess.Popen[bytes], folder: Path) -> None:
        self.number, self.holder, self.folder = number, holder, folder
        self.name, self.address = _name(number), _address(number)
        self.core = sorted(os.sched_getaffinity(0))[number % len(os.sched_getaffinity(0))]
        self.started: list[Started] = []

    def start(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Started:
        """Start a command on this host, pinned to one core, in `folder`."""
        stdout, stderr = self.output()
        with stdout.open("wb") as out, stderr.open("wb") as err:
            process = subprocess.Popen(
                self.inside(command, folder),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=dict(environment),
            )
        self.started.append(Started(process, stdout, stderr))
        return self.started[-1]

    def inside(self, command: Sequence[str], folder: Path) -> list[str]:
        """Return the command that runs `command` on this host."""
        return [*_inside(self.holder), "env", f"--chdir={folder}", "taskset", "-c", str(self.core), *command]

    def output(self) -> tuple[Path, Path]:
        """Return the files of stdout and stderr of the next process."""
        stem = self.folder / f"{self.name}-{len(self.started)}"
        return stem.with_suffix(".out"), stem.with_suffix(".err")

    def set_link(self, up: bool) -> None:
        """Take the link to the other hosts down, so that packets are lost without an answer, or up again."""
        _run(*_inside(self.holder), "ip", "link", "set", "eth0", "up" if up else "down")

    def close(self) -> None:
        """Kill all processes started on this host."""
        for started in self.started:
            started.send(signal.SIGKILL)
            started.process.wait()


class Hosts:
    """`count` hosts on one network; use as a context. Needs root."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __enter__(self) -> list[Host]:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hosts-")))
            switch = _namespace(stack, "switch")
            _run(*_inside(switch), "ip", "link", "add", "br0", "type", "bridge")
            _run(*_inside(switch), "ip", "link", "set", "br0", "up")
            hosts = [Host(number, _namespace(stack, _name(number)), folder) for number in range(self.count)]
            for host in hosts:
                self._connect(host, switch)
                stack.callback(host.close)
            self._stack = stack.pop_all()
            return hosts

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _connect(self, host: Host, switch: subprocess.Popen[bytes]) -> None:
        port, table = f"port{host.number}", host.folder / f"{host.name}.hosts"
        others = (f"{_address(n)} {_name(n)}" for n in range(self.count) if n != host.number)
        table.write_text("\n".join(["127.0.0.1 localhost", f"127.0.1.1 {host.name}", *others, ""]))
        inside, pid = _inside(host.holder), str(host.holder.pid)
        _run(*_inside(switch), "ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", pid)
        _run(*_inside(switch), "ip", "link", "set", port, "master", "br0", "up")
        _run(*inside, "ip", "address", "add", f"{host.address}/24", "dev", "eth0")
        _run(*inside, "ip", "link", "set", "lo", "up")
        _run(*inside, "ip", "link", "set", "eth0", "up")
        _run(*inside, "mount", "--bind", str(table), "/etc/hosts")


def _namespace(stack: ExitStack, name: str) -> subprocess.Popen[bytes]:
    """Start a process in new namespaces of network, host name and mounts; it ends when its input does."""
    holder = subprocess.Popen(
        ["unshare", "--net", "--uts", "--mount", "sh", "-c", f"hostname {name} && echo ready && exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    stack.callback(holder.communicate)
    assert holder.stdout is not None
    if holder.stdout.readline() != b"ready\n":
        assert holder.stderr is not None
        raise OSError(holder.stderr.read().decode(errors="replace").strip())
    return holder


def _inside(holder: subprocess.Popen[bytes]) -> list[str]:
    return ["nsenter", f"--target={holder.pid}", "--net", "--uts", "--mount"]


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _name(number: int) -> str:
    return f"host{number}"


def _address(number: int) -> str:
    return f"{NETWORK}.{number + 1}"
