"""Child processes of a server, each connected to it by a socket as its stdin."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence

from transfercli.io.subprocesses import child_environment

# Two versions of a model, and several models, share an accelerator: none may take all its memory at its start.
SHARED_ACCELERATOR = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


def start_child(
    module: str, arguments: Sequence[str], stderr: int = subprocess.DEVNULL
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start `python -m MODULE PARENT ARGUMENTS…`; return it and this end of its socket, which does not block."""
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(os.getpid()), *arguments],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=SHARED_ACCELERATOR | child_environment(),
                process_group=0,  # Ctrl-C reaches the server only
            )
    except OSError:
        ours.close()
        raise
    ours.setblocking(False)
    return process, ours
