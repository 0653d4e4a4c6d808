"""A server of an application on loopback in a thread of the test, and clients that speak to its socket as they like."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from transfercli.errors import Interrupted
from transfercli.reporting import Reporter
from transfercli.web.address import Address
from transfercli.web.limits import Limits
from transfercli.web.server import run_server

PATIENCE = 30  # seconds that a test waits for an answer before it fails


class _Stoppable(Reporter):
    signal = 0

    def stop_signal(self) -> int:
        return self.signal

    def progress(self, stage: str, done: int, total: int, unit: str = "images") -> None:
        if self.signal:
            raise Interrupted(self.signal)


@dataclass(frozen=True)
class RunningServer:
    """Server that answers at a port of loopback."""

    port: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        """Return an open connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def exchange(self, *parts: bytes, end: bool = False) -> bytes:
        """Send bytes, and return all that comes back until the server closes. end: True to send no more after them."""
        with self.connect() as client:
            try:
                for part in parts:
                    client.sendall(part)
                if end:
                    client.shutdown(socket.SHUT_WR)
            except OSError:  # it closed before it had read all
                pass
            return received(client)

    def status(self, *parts: bytes) -> int | None:
        """Return the status of the first answer to bytes; None if the connection was closed without one."""
        return status_of(self.exchange(*parts))


def received(client: socket.socket) -> bytes:
    """Return what comes until the server closes."""
    found = b""
    try:
        while part := client.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


def status_of(answer: bytes) -> int | None:
    """Return the status of an answer, or None."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else None


@contextmanager
def running_server(app: Any, limits: Limits | None = None) -> Iterator[RunningServer]:
    """Yield a running server; it ends with the block."""
    reporter, ready, found = _Stoppable(), threading.Event(), []

    def started(address: Address) -> None:
        found.append(address.port)
        ready.set()

    def run() -> None:
        try:
            run_server(app, Address(), reporter, started=started, limits=limits)
        except Interrupted:
            pass
        finally:
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        ready.wait(PATIENCE)
        assert found, "the server did not start"
        yield RunningServer(found[0])
    finally:
        reporter.signal = 15
        thread.join(PATIENCE)
    assert not thread.is_alive(), "the server did not end"
