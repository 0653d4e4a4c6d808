"""The package as a program."""

from __future__ import annotations

import subprocess
import sys

import transfercli


def test_python_m_transfercli_is_the_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "transfercli", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{transfercli.__version__}\n"
