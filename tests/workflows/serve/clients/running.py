"""The server as a command of its own, for clients that are other programs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[4]
RECIPES = ROOT / "docs" / "guides" / "serving"
PATIENCE = 60  # seconds for a client or for the end of the server, before a test fails
STOPPED = 143  # exit code of a command that SIGTERM stopped


@dataclass(frozen=True)
class Server:
    """Server that answers. address: as it printed it."""

    process: subprocess.Popen[str]
    address: str

    @property
    def host(self) -> str:
        """HOST:PORT."""
        return self.address.removeprefix("http://")


@contextmanager
def serving(
    *arguments: str, environment: Mapping[str, str] | None = None, prefix: tuple[str, ...] = ()
) -> Iterator[Server]:
    """Yield a running `transfercli serve`; SIGTERM ends it with the block. prefix: the program that starts it."""
    path = os.pathsep.join(filter(None, [(environment or {}).get("PYTHONPATH"), str(ROOT)]))
    process = subprocess.Popen(
        [*prefix, sys.executable, "-m", "transfercli", "serve", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {}), "PYTHONPATH": path},
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            _, errors = process.communicate(timeout=PATIENCE)
            raise AssertionError(f"the server did not start: {errors}")
        yield Server(process, address)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == STOPPED
    finally:
        process.kill()
        process.communicate()


def run_client(*command: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a client, and return its output and exit code."""
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, **(environment or {})},
    )
