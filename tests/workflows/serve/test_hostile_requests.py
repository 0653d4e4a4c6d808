"""Requests that no friend sends, to the real command: it refuses each, and answers others meanwhile."""

from __future__ import annotations

import resource
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.running_server import RunningServer, received, status_of
from tests.workflows.serve.hostile_bodies import hostile_requests
from tests.workflows.serve.real_server import serve

pytestmark = pytest.mark.slow
CONNECTIONS = 10_000
SECRETS = (b"Traceback", b"/tmp", b"/root", b"/home", b"site-packages", b".py", str(Path.home()).encode())
PATIENCE = 120.0  # seconds, until a test that waits for answers fails
LONGEST = 10.0  # seconds that a friend waits while hostile requests come, on a busy machine


@pytest.fixture(scope="module")
def served(source: Any) -> Any:
    """Yield a server of a run, its process, and the bytes of an image of it."""
    world, result = source
    image = sorted((world.samples / "digits-source" / "test").rglob("*.png"))[0].read_bytes()
    with serve(f"digits={result['run']}") as (server, process):
        yield server, process, image


class Friend(threading.Thread):
    """Client that asks all the time. slowest: seconds of its longest wait; statuses: of its answers."""

    def __init__(self, server: RunningServer, image: bytes) -> None:
        super().__init__(daemon=True)
        self._server, self._image, self._ends = server, image, threading.Event()
        self.slowest, self.statuses = 0.0, set[int]()
        self.count, self._answered = 0, threading.Condition()

    def run(self) -> None:
        with httpx.Client(base_url=self._server.address, timeout=60) as client:
            while not self._ends.is_set():
                started = time.monotonic()
                self.statuses.add(client.post("/predict/digits", content=self._image).status_code)
                self.slowest = max(self.slowest, time.monotonic() - started)
                with self._answered:
                    self.count += 1
                    self._answered.notify_all()

    def wait_for_answers(self, count: int) -> None:
        with self._answered:
            assert self._answered.wait_for(lambda: self.count >= count, PATIENCE), self.statuses

    def __enter__(self) -> Friend:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.set()
        self.join(60)


def test_no_hostile_request_ends_the_server_or_stops_others(served: Any) -> None:
    server, process, image = served
    requests = hostile_requests()
    assert len(requests) >= 50
    with Friend(server, image) as friend, ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(lambda request: status_of(server.exchange(request.as_bytes())), requests))
    wrong = {
        request.name: status
        for request, status in zip(requests, statuses, strict=True)
        if status not in request.allowed
    }
    assert wrong == {}
    assert friend.statuses == {200}
    assert friend.count > 10
    assert friend.slowest < LONGEST
    assert process.poll() is None


def test_answers_to_hostile_requests_show_nothing_of_the_machine(served: Any) -> None:
    server, _, _ = served
    for request in hostile_requests():
        if len(request.body) < 1_000_000:
            answer = server.exchange(request.as_bytes())
            assert [word for word in SECRETS if word in answer] == [], request.name


def test_ten_thousand_silent_connections_stop_no_others(served: Any) -> None:
    server, process, image = served
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < CONNECTIONS + 500:
        pytest.skip(f"this system allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (CONNECTIONS + 500, hard))
    try:
        with ExitStack() as stack, Friend(server, image) as friend:
            silent = []
            for number in range(CONNECTIONS):
                client = stack.enter_context(server.connect())
                if number % 2:  # half of them begin a request
                    client.sendall(b"POST /predict/digits HTTP/1.1\r\nHost: 127")
                silent.append(client)
            assert status_of(server.exchange(_closing(image))) == 200
            friend.wait_for_answers(20)
            assert received(silent[0]) == b""  # the one that has waited for longest is closed
        assert friend.statuses == {200}
        assert friend.slowest < LONGEST
        assert process.poll() is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _closing(image: bytes) -> bytes:
    head = (
        f"POST /predict/digits HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len(image)}\r\n\r\n"
    )
    return head.encode() + image


def _resident(process: int) -> int:
    """Return the bytes of a process's memory."""
    pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system does not list the memory of a process")
def test_slow_senders_hold_no_more_than_their_connections(served: Any) -> None:
    server, process, image = served
    before = _resident(process.pid)
    with ExitStack() as stack, Friend(server, image) as friend:
        slow: list[socket.socket] = []
        for number in range(300):
            client = stack.enter_context(server.connect())
            client.sendall(b"POST /predict/digits HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 60000000\r\n\r\nabc")
            if number % 3 == 0:
                client.sendall(image)
            slow.append(client)
        friend.wait_for_answers(20)
        grown = _resident(process.pid) - before
        assert status_of(received(slow[1])) == 408
    assert grown < 100_000_000  # a buffer of the length that each promises would be 18 GB
    assert friend.statuses == {200}
