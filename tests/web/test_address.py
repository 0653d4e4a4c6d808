"""Unix sockets that a server listens on: only one that a dead server left is replaced."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from transfercli.errors import UsageError
from transfercli.web.address import Address, listen
from transfercli.web.guards import read_token


def test_a_socket_that_a_dead_server_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    listener, _ = listen(Address(unix=path))
    with listener, pytest.raises(UsageError, match="in use by another program") as error:
        listen(Address(unix=path))
    assert error.value.hint == "choose another path"


def test_a_server_that_has_no_room_for_a_connection_keeps_its_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as client:
        busy.bind(str(path))
        busy.listen(0)
        client.connect(str(path))
        with pytest.raises(UsageError, match="in use by another program"):
            listen(Address(unix=path))
    assert path.is_socket()


def test_a_file_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(UsageError, match="it is no socket"):
        listen(Address(unix=path))
    assert path.read_text() == "mine"


def test_the_error_of_a_token_file_shows_nothing_of_it(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(b"\xc2" * 40)
    with pytest.raises(UsageError) as error:
        read_token(path)
    assert "c2" not in error.value.message
