"""Limits of connections: number, sizes and times; and the open files that the system allows for them."""

from __future__ import annotations

import resource
from contextlib import suppress
from dataclasses import dataclass, replace

RESERVED_FILES = 512  # descriptors for libraries, models, logs and worker processes


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the connections of a server.

    connections: open at once. header_bytes, headers: of one request, with its first line. url_bytes: of the address.
    seconds_to_headers: from the first byte of a request, or from the start of a connection, to the end of the headers.
    seconds_to_body, bytes_a_second: a body may take this long, and longer by its length at this rate. seconds_idle:
    between two requests; a client may take as long to read its answer, and longer at that rate. seconds_to_drain: for
    the rest of a body that was refused; an answer before the client has sent all of it would be lost with the
    connection.
    """

    connections: int = 8192
    header_bytes: int = 64 * 1024
    headers: int = 100
    url_bytes: int = 8 * 1024
    seconds_to_headers: float = 10
    seconds_to_body: float = 20
    bytes_a_second: int = 16 * 1024
    seconds_idle: float = 30
    seconds_to_drain: float = 5


def raise_file_limit(limits: Limits) -> Limits:
    """Raise this process's limit of open files to what the system allows; return limits that fit into it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.connections + RESERVED_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return limits
    return replace(limits, connections=max(soft - RESERVED_FILES, soft // 2))
