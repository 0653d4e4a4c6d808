"""Addresses that a server listens on: a TCP port of one host, or a Unix socket."""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path

from transfercli.errors import UsageError
from transfercli.io.addresses import LOOPBACK

LIBRARIES = ("httptools", "prometheus_client", "python_multipart", "starlette", "uvicorn", "uvloop")
BACKLOG = 2048  # connections that the kernel accepts before the program does


@dataclass(frozen=True, slots=True)
class Address:
    """Address to listen on. port: 0 for any free one. unix: path of a Unix socket, which replaces host and port."""

    host: str = LOOPBACK
    port: int = 0
    unix: Path | None = None

    @property
    def is_loopback(self) -> bool:
        """True if only programs of this machine can connect."""
        if self.unix is not None or self.host == "localhost":
            return True
        with suppress(ValueError):
            return ip_address(self.host).is_loopback
        return False

    @property
    def text(self) -> str:
        """The address as a person opens it."""
        if self.unix is not None:
            return f"unix:{self.unix}"
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def check_installed(command: str) -> None:
    """Raise `UsageError` if the libraries of the extra `serve` are missing."""
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"transfercli {command} needs {', '.join(missing)}, which is not installed",
            "pip install 'transfercli[serve]'",
        )


def listen(address: Address) -> tuple[socket.socket, Address]:
    """Return a listening socket and its address, with the port that was chosen.

    Raises `UsageError` if the address is in use, is not of this machine, or may not be used.
    """
    try:
        if address.unix is not None:
            return _listen_unix(address.unix), address
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        listener = socket.create_server((address.host, address.port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            hint = "choose another, as --port 0" if address.unix is None else "choose another path"
            raise UsageError(f"{address.text} is in use by another program", hint) from error
        raise UsageError(f"cannot listen on {address.text}: {error}", "name an address of this machine") from error
    return listener, Address(address.host, listener.getsockname()[1])


def _listen_unix(path: Path) -> socket.socket:
    """Return a listening Unix socket, open to this user alone; one that a dead server left is replaced."""
    if path.is_socket():
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
            if probe.connect_ex(str(path)) != errno.ECONNREFUSED:  # a busy server may have no room for the probe
                raise OSError(errno.EADDRINUSE, "in use")
        path.unlink()
    elif path.exists():
        raise OSError(errno.EEXIST, "there is a file already, and it is no socket")
    listener = socket.socket(socket.AF_UNIX)
    former = os.umask(stat.S_IRWXG | stat.S_IRWXO)
    try:
        listener.bind(str(path))
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(former)
    listener.listen(BACKLOG)
    return listener
