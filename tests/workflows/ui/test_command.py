"""The command `ui` as a process: its address, its end, and what it refuses."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

pytestmark = pytest.mark.slow
COMMAND = [sys.executable, "-m", "transfercli", "ui", "--json"]


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_prints_one_object_and_ends_when_asked(tmp_path: Path, number: int, code: int) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    command = [*COMMAND, "--runs", str(tmp_path), "--port", "0", "--token-file", str(token)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        started = json.loads(process.stdout.readline())
        assert list(started) == ["format", "address"]
        bare = started["address"].removesuffix("/?token=0123456789abcdef")
        with pytest.raises(HTTPError, match="401"):
            urlopen(bare)
        process.send_signal(number)
        assert process.wait(30) == code
        assert process.stdout.read() == ""
        assert started["address"] in process.stderr.read()


def test_a_port_that_is_in_use_is_exit_code_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        command = [*COMMAND, "--runs", str(tmp_path), "--port", str(other.getsockname()[1])]
        found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 2
    assert json.loads(found.stdout)["error"]["kind"] == "usage"


def test_an_address_for_other_machines_always_has_a_token(tmp_path: Path) -> None:
    command = [*COMMAND, "--runs", str(tmp_path), "--port", "0", "--host", "0.0.0.0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())["address"]
        port = int(address.split(":")[2].split("/")[0])
        assert len(address.partition("?token=")[2]) >= 32
        with pytest.raises(HTTPError, match="401"):
            urlopen(f"http://127.0.0.1:{port}/")
        process.terminate()
        assert process.wait(30) == 143


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    found = subprocess.run(
        [*COMMAND, "--runs", str(tmp_path / "none")], capture_output=True, text=True, timeout=60, check=False
    )
    assert found.returncode == 2
