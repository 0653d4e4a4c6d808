"""Processes of a training that meet, each played by a thread on the loopback address."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from tests.listener import Listener
from transfercli.errors import TransferError
from transfercli.training.distribution.launch import Launch
from transfercli.training.distribution.meeting import Meeting, meet

LONG = 60.0  # seconds that a test waits at most for what comes at once


class Peer(Listener):
    """A reporter that records requests to stop and the end of its process. signum: of a signal that it received."""

    def __init__(self, signum: int = 0) -> None:
        super().__init__()
        self.signum = signum
        self.stopped: Future[TransferError] = Future()
        self.ended: Future[TransferError] = Future()

    def stop_signal(self) -> int:
        return self.signum

    def stop(self, error: TransferError) -> None:
        self.stopped.set_result(error)

    def end(self, error: TransferError) -> None:
        self.ended.set_result(error)


def free_address() -> str:
    """Return HOST:PORT of a port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def nothing() -> None:
    """Do nothing while waiting."""


@contextmanager
def met(count: int) -> Iterator[list[Meeting]]:
    """Yield the meeting of each of `count` processes, in the order of their ranks."""
    address = free_address()
    with ThreadPoolExecutor(count) as pool:
        waits = [pool.submit(meet, Launch(address, count, rank), "flowers", LONG, nothing) for rank in range(count)]
        each = [wait.result() for wait in waits]
    try:
        yield each
    finally:
        close(each)


def close(meetings: Iterable[Meeting]) -> None:
    """Close all connections."""
    for meeting in meetings:
        for link in meeting.links.values():
            link.close()
