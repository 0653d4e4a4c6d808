"""Worker processes that decode."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PARENT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
from transfercli.data.decoding.decode import Geometry
from transfercli.data.decoding.pool import decode_files
answers = decode_files(sys.argv[1:], Geometry(64, 64), workers=2)
next(answers)
print("started", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="asks the kernel for the end of a process that is no child")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_parent_whatever_ends_it(number: signal.Signals, files: list[str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, *files * 8],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        handles = [os.pidfd_open(int(child)) for child in children]
        parent.send_signal(number)
        parent.wait()
    assert len(handles) == 2
    for handle in handles:
        assert select.select([handle], [], [], 20)[0], "a worker outlived its parent"
        os.close(handle)
