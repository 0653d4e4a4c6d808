"""Processes that meet: who is let in, what is said about those that do not come, and which addresses they have."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event

import pytest

from tests.training.distribution.peers import LONG, close, free_address, met, nothing
from transfercli.errors import BusyError, Interrupted, PeerLostError
from transfercli.training.distribution.launch import Launch
from transfercli.training.distribution.links import Kind, Link, Message
from transfercli.training.distribution.meeting import Meeting, meet, token_of


def test_processes_meet_in_any_order_and_the_first_is_connected_to_all():
    with met(3) as (first, second, third):
        assert sorted(first.links) == [1, 2]
        assert list(second.links) == list(third.links) == [0]
        assert first.address == second.address == "127.0.0.1"
        assert first.service == first.listening == second.service


def test_a_process_that_does_not_come_is_named_by_the_first_and_ends_the_wait_of_the_others():
    address = free_address()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(meet, Launch(address, 3, 0), "flowers", 2.0, nothing)
        second = pool.submit(meet, Launch(address, 3, 1), "flowers", LONG, nothing)

        with pytest.raises(PeerLostError, match=r"^2 of 3 processes came within 2 s; missing: 2$"):
            first.result()
        with pytest.raises(PeerLostError, match="not all of the 3 processes came"):
            second.result()


def test_without_a_first_process_its_address_is_named():
    address = free_address()

    with pytest.raises(PeerLostError, match=rf"process 0 of 2 did not answer at {address} within 0\.5 s"):
        meet(Launch(address, 2, 1), "flowers", 0.5, nothing)


def test_a_name_that_nobody_knows_is_asked_for_until_the_time_is_over():
    with pytest.raises(PeerLostError, match="did not answer"):
        meet(Launch("no-such-host.invalid:5555", 2, 1), "flowers", 0.5, nothing)


def test_a_port_of_another_program_is_said():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

        with pytest.raises(BusyError, match=f"process 0 cannot listen at {address}: Address already in use"):
            meet(Launch(address, 2, 0), "flowers", 0.5, nothing)


def test_a_signal_ends_the_wait():
    def stop() -> None:
        raise Interrupted(15)

    for rank in (0, 1):
        with pytest.raises(Interrupted):
            meet(Launch(free_address(), 2, rank), "flowers", LONG, stop)


def test_a_first_process_that_is_stopped_says_so_to_those_that_came():
    address, came = free_address(), Event()

    def stop() -> None:
        if came.is_set():
            raise Interrupted(15)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(meet, Launch(address, 3, 0), "flowers", LONG, stop)
        with _connected(address) as connection, _connected(address) as stranger:
            link = Link(connection, token_of("flowers", 3))
            link.send(Message(Kind.HELLO, 1))
            stranger.sendall(bytes(24))
            with suppress(ConnectionError):
                assert stranger.recv(1) == b""  # the first process has read what came before, too
            came.set()
            with pytest.raises(Interrupted):
                first.result()

            assert link.receive() == [Message(Kind.MISSING, 0)]


@pytest.mark.parametrize(
    "content",
    [b"GET / HTTP/1.1\r\nHost: training\r\n\r\n", bytes(24), b"\xff" * 100_000],
    ids=["http", "zeros", "flood"],
)
def test_strangers_are_turned_away_and_do_not_disturb_the_meeting(content: bytes):
    def disturb(address: str) -> None:
        with _connected(address) as stranger, suppress(ConnectionError):
            stranger.sendall(content)
            assert stranger.recv(1) == b""

    first, second = _met_after(disturb)

    assert (list(first.links), list(second.links)) == ([1], [0])


def test_connections_that_say_nothing_do_not_disturb_the_meeting():
    strangers = []

    def disturb(address: str) -> None:
        strangers.extend(_connected(address) for _ in range(3))
        strangers[0].sendall(b"short")

    first, second = _met_after(disturb)

    assert (list(first.links), list(second.links)) == ([1], [0])
    for stranger in strangers:
        with stranger, suppress(ConnectionError):
            assert stranger.recv(1) == b""


@pytest.mark.parametrize("name, count, rank", [("cars", 2, 1), ("flowers", 3, 1), ("flowers", 2, 5)])
def test_processes_of_another_training_are_turned_away(name: str, count: int, rank: int):
    def disturb(address: str) -> None:
        with pytest.raises(PeerLostError, match="did not answer"):
            meet(Launch(address, count, rank), name, 0.5, nothing)

    first, _ = _met_after(disturb)

    assert list(first.links) == [1]


def _met_after(disturb: Callable[[str], None]) -> list[Meeting]:
    """Return the meetings of two processes; `disturb` gets the address of the first one, which waits already."""
    address = free_address()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(meet, Launch(address, 2, 0), "flowers", LONG, nothing)
        disturb(address)
        second = meet(Launch(address, 2, 1), "flowers", LONG, nothing)
        each = [first.result(), second]
    close(each)
    return each


def _connected(address: str) -> socket.socket:
    """Return a connection to an address, as soon as somebody listens there."""
    host, _, port = address.partition(":")
    while True:
        with suppress(ConnectionRefusedError):
            return socket.create_connection((host, int(port)), timeout=LONG)
