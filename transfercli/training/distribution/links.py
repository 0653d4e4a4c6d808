"""Connections between the processes that train together, for signs of life; frames of 24 bytes, and nothing else.

A frame holds a token of the training, a kind, the rank that it is about, a small number and a counter. Bytes that are
no such frame end the connection.
"""

from __future__ import annotations

import hmac
import socket
import struct
import time
from contextlib import suppress
from enum import IntEnum
from typing import NamedTuple

TOKEN_BYTES = 16
_FRAME = struct.Struct(f"!{TOKEN_BYTES}sBBHI")  # token, kind, value, rank, counter
_MAX_UNSENT = 64 * _FRAME.size  # to a process that reads nothing; signs of life beyond are left out


class Kind(IntEnum):
    """Kind of a message, and the meaning of its value."""

    HELLO = 1  # the sender is `rank`
    WELCOME = 2  # all processes are there
    MISSING = 3  # they did not all come in time
    ALIVE = 4
    STOP = 5  # `rank` received the signal `value`
    ENDED = 6  # `rank` takes no further part; exit code `value`, 0: it has done its work
    LOST = 7  # the first process lost `rank`


_KINDS = frozenset(map(int, Kind))


class Message(NamedTuple):
    """Message about the process of a rank."""

    kind: Kind
    rank: int
    value: int = 0


class Link:
    """One connection. heard: time of the last message, on the monotonic clock; address: IP address of the other end.

    token: of the training; both ends must have the same.
    """

    def __init__(self, connection: socket.socket, token: bytes) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket, self.token = connection, token
        self.address: str = connection.getpeername()[0]
        self.own_address: str = connection.getsockname()[0]
        self.heard = time.monotonic()
        self._sent = 0
        self._unsent, self._unread = b"", b""

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, message: Message) -> None:
        """Send a message; if the other end reads nothing, later. Raises `OSError` if the connection is gone."""
        if len(self._unsent) < _MAX_UNSENT or message.kind is not Kind.ALIVE:
            self._unsent += _FRAME.pack(self.token, message.kind, message.value, message.rank, self._sent)
            self._sent = (self._sent + 1) % 2**32
        with suppress(BlockingIOError):
            self._unsent = self._unsent[self.socket.send(self._unsent) :]

    def receive(self) -> list[Message]:
        """Return the messages that have arrived.

        Raises `OSError` if the connection has ended, or if bytes arrived that are no message.
        """
        with suppress(BlockingIOError):
            received = self.socket.recv(1 << 16)
            if not received:
                raise ConnectionError("the connection was closed")
            self._unread += received
        messages = []
        while len(self._unread) >= _FRAME.size:
            messages.append(self._parsed(self._unread[: _FRAME.size]))
            self._unread = self._unread[_FRAME.size :]
        if messages:
            self.heard = time.monotonic()
        return messages

    def close(self) -> None:
        self.socket.close()

    def _parsed(self, frame: bytes) -> Message:
        token, kind, value, rank, _ = _FRAME.unpack(frame)
        if not hmac.compare_digest(token, self.token) or kind not in _KINDS:
            raise ConnectionError("bytes arrived that are no message of this training")
        return Message(Kind(kind), rank, value)
