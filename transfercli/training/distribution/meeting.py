"""Meeting of the processes of a training, before JAX connects them: who is there, and under which address.

JAX ends a process that waits in vain without saying who is missing. The first process listens on the training's own
port, which JAX's service gets as soon as all are there; the connections stay, for signs of life.
"""

from __future__ import annotations

import hashlib
import ipaddress
import selectors
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from transfercli.errors import BusyError, PeerLostError
from transfercli.text import counted, first_of
from transfercli.training.distribution.launch import Launch
from transfercli.training.distribution.links import TOKEN_BYTES, Kind, Link, Message

POLL_SECONDS = 0.25
MAX_UNKNOWN = 64  # connections that have not said their rank yet; older ones are closed
PARTING_SECONDS = 10.0  # more than the first process waits, so that it can say who is missing
RESTART_HINT = "start the same command again on every host"


@dataclass(frozen=True)
class Meeting:
    """Processes that have met. links: connections by rank; the first process has one to each, the others one to it.

    service: HOST:PORT of JAX's service, as this process reaches it.
    """

    place: Launch
    links: dict[int, Link]
    service: str

    @property
    def listening(self) -> str:
        """HOST:PORT at which JAX's service listens; on all addresses of the host if it is reached at several."""
        addresses = {link.own_address for link in self.links.values()}
        return self.service if len(addresses) == 1 else f"[::]:{self.service.rpartition(':')[2]}"

    @property
    def address(self) -> str:
        """IP address at which the other processes reach this one; a loopback address if they share its host."""
        addresses = [link.own_address for link in self.links.values()]
        return next((address for address in addresses if not is_loopback(address)), addresses[0])


def meet(place: Launch, name: str, seconds: float, on_wait: Callable[[], None]) -> Meeting:
    """Wait until all processes that were launched together are there.

    name: of the training; a process of another training is not let in. on_wait: called about four times a second; may
    raise to stop.

    Raises `PeerLostError` if they are not all there after `seconds`, `BusyError` if another process has the port.
    """
    wait = _Wait(place, token_of(name, place.count), time.monotonic() + seconds, seconds, on_wait)
    return wait.for_all() if place.rank == 0 else wait.for_first()


def token_of(name: str, count: int) -> bytes:
    """Return the token of a training by `count` processes: no secret, but what no other program sends."""
    return hashlib.sha256(f"transfercli {name} {count}".encode()).digest()[:TOKEN_BYTES]


def is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


@dataclass
class _Wait:
    """Wait of one process for the others. deadline: on the monotonic clock, `seconds` after the start."""

    place: Launch
    token: bytes
    deadline: float
    seconds: float
    on_wait: Callable[[], None]

    def for_all(self) -> Meeting:
        """Return the meeting of the first process, once all others have said their rank."""
        links: dict[int, Link] = {}
        unknown: list[Link] = []
        try:
            with self._listener() as listener, selectors.DefaultSelector() as selector:
                selector.register(listener, selectors.EVENT_READ)
                while len(links) < self.place.count - 1:
                    if self._is_over():
                        raise self._missing(links)
                    if selector.select(POLL_SECONDS):
                        unknown.append(Link(listener.accept()[0], self.token))
                    self._sort(unknown, links)
        except BaseException:
            _send(Kind.MISSING, links.values())  # so that nobody waits for a process that was stopped
            _close(links.values())
            raise
        finally:
            _close(unknown)
        _send(Kind.WELCOME, links.values())
        meeting = Meeting(self.place, links, "")
        return Meeting(self.place, links, _joined(meeting.address, self._port))

    def for_first(self) -> Meeting:
        """Return the meeting of another process, once the first one has welcomed it."""
        while not self._is_over():
            with suppress(OSError):  # not there yet, or its name is not known yet
                link = Link(socket.create_connection(self._target, timeout=1.0), self.token)
                try:
                    link.send(Message(Kind.HELLO, self.place.rank))
                    self._await_welcome(link)
                except BaseException:
                    link.close()
                    raise
                return Meeting(self.place, {0: link}, _joined(link.address, self._port))
            time.sleep(POLL_SECONDS)
        raise PeerLostError(
            f"process 0 of {self.place.count} did not answer at {self.place.address} within {self.seconds:g} s",
            RESTART_HINT,
        )

    # -- the first process

    def _listener(self) -> socket.socket:
        """Return a socket that listens on the training's address; on all of this host if its name is no address of it.

        As on Debian, where a host's own name is 127.0.1.1.
        """
        host, port = self._target
        family, address = socket.AF_INET, ""
        with suppress(OSError):
            family, _, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            literal = str(target[0]) == host.strip("[]")
            if (literal or not is_loopback(str(target[0])) or host == "localhost") and _is_own(family, str(target[0])):
                address = str(target[0])
        while True:
            try:
                return socket.create_server((address, port), family=family, backlog=128)
            except OSError as error:
                if self._is_over():
                    raise BusyError(
                        f"process 0 cannot listen at {self.place.address}: {error.strerror or error}",
                        "choose another port, or end the process that has it",
                    ) from None
            time.sleep(POLL_SECONDS)

    def _sort(self, unknown: list[Link], links: dict[int, Link]) -> None:
        """Move the links that have said their rank from `unknown` to `links`; close those that ended, and strangers."""
        for rank, link in list(links.items()):
            if _received(link) is None:
                del links[rank]
        for link in list(unknown):
            messages = _received(link)
            if messages is None:
                unknown.remove(link)
            elif messages:
                unknown.remove(link)
                kind, rank, _ = messages[0]
                if kind is Kind.HELLO and 0 < rank < self.place.count and rank not in links:
                    links[rank] = link
                else:
                    link.close()
        _close(unknown[:-MAX_UNKNOWN])
        del unknown[:-MAX_UNKNOWN]

    def _missing(self, links: dict[int, Link]) -> PeerLostError:
        absent = [str(rank) for rank in range(1, self.place.count) if rank not in links]
        return PeerLostError(
            f"{len(links) + 1} of {counted(self.place.count, 'process', 'processes')} came within {self.seconds:g} s;"
            f" missing: {first_of(absent, 8)}",
            RESTART_HINT,
        )

    # -- the others

    def _await_welcome(self, link: Link) -> None:
        """Wait for the answer of the first process. Raises `PeerLostError` if others are missing, `OSError` without."""
        self.deadline += PARTING_SECONDS
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(link, selectors.EVENT_READ)
                while not self._is_over():
                    kinds = {message.kind for message in link.receive()} if selector.select(POLL_SECONDS) else set()
                    if Kind.WELCOME in kinds:
                        return
                    if Kind.MISSING in kinds:
                        problem = f"not all of the {self.place.count} processes came; process 0 says which"
                        raise PeerLostError(problem, RESTART_HINT)
        finally:
            self.deadline -= PARTING_SECONDS
        raise TimeoutError

    # -- both

    @property
    def _target(self) -> tuple[str, int]:
        host, _, port = self.place.address.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def _port(self) -> int:
        return self._target[1]

    def _is_over(self) -> bool:
        self.on_wait()
        return time.monotonic() > self.deadline


def _received(link: Link) -> list[Message] | None:
    """Return the messages that have arrived; close the link, and return None, if it ended or sent something else."""
    try:
        return link.receive()
    except OSError:
        link.close()
        return None


def _send(kind: Kind, links: Iterable[Link]) -> None:
    for link in links:
        with suppress(OSError):  # its process is gone; the watch says so
            link.send(Message(kind, 0))


def _close(links: Iterable[Link]) -> None:
    for link in links:
        link.close()


def _is_own(family: int, address: str) -> bool:
    """Return True if an address is one of this host: only to those can a socket be bound."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _joined(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
