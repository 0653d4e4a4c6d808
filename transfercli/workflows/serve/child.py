"""Child processes of a server, each connected to it by a socket as its stdin."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence

from transfercli.io.subprocesses import child_environment


def start_child(
    module: str, arguments: Sequence[str], stderr: int = subprocess.DEVNULL
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start `python -m MODULE PARENT ARGUMENTS…`; return it and this end of its socket, which does not block."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, str(os.getpid()), *arguments],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=child_environment(),
            process_group=0,  # Ctrl-C reaches the server only
        )
    ours.setblocking(False)
    return process, ours
