"""No command connects to a network, and a home folder gets a cache and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Imported by every Python process at its start, also by workers and sandboxes.
WATCH = """
import os
import sys

NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")

def watch(event, arguments):
    if event in NETWORK:
        with open(os.environ["NETWORK_LOG"], "a") as log:
            log.write(f"{event} {arguments[1:]} by {sys.argv}\\n")

sys.addaudithook(watch)
"""
RUNTIMES = """
from transfercli.export.formats.onnx import import_onnxruntime
from transfercli.export.formats.openvino import import_openvino

import_onnxruntime().get_available_providers()
import_openvino().convert_model
"""
COMMANDS = (
    "sample digits-target images",
    "data check c.yaml",
    "finetune c.yaml",
    "evaluate e",
    "export e --format onnx --format openvino --format litert --format saved_model --format keras",
    "predict e images/test",
    "predict e/exports/onnx images/test",
    "predict e/exports/openvino images/test",
    "data drift e images/test",
    "retrain c.yaml",
    "runs list",
)


class Sealed:
    """Folder with an empty home, in which processes are watched."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.log, self.trace = (folder, *(folder / name for name in ("home", "log", "trace")))
        self.home.mkdir()
        (folder / "site").mkdir()
        (folder / "site" / "sitecustomize.py").write_text(WATCH)
        names = ("PATH", "LD_LIBRARY_PATH", "TF_CPP_MIN_LOG_LEVEL")
        self.environment = {name: os.environ[name] for name in names if name in os.environ} | {
            "HOME": str(self.home),
            "PYTHONPATH": f"{folder / 'site'}{os.pathsep}{ROOT}",
            "NETWORK_LOG": str(self.log),
        }

    def run(self, *arguments: str) -> None:
        command = [sys.executable, *arguments]
        if strace := shutil.which("strace"):
            trace = ["-f", "-qq", "-A", "-o", str(self.trace), "-e", "trace=connect,sendto,sendmmsg"]
            command = [strace, *trace, *command]
        done = subprocess.run(command, env=self.environment, cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def connections(self) -> list[str]:
        """Return what Python, and the system calls if strace is there, tell of the network."""
        watched = self.log.read_text().splitlines() if self.log.exists() else []
        traced = self.trace.read_text(errors="replace").splitlines() if self.trace.exists() else []
        return [*watched, *(line for line in traced if "AF_INET" in line)]

    def in_home(self) -> set[str]:
        return {path.relative_to(self.home).as_posix() for path in self.home.glob("*/*")}


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    return Sealed(tmp_path)


def test_the_watch_sees_a_connection(sealed: Sealed) -> None:
    sealed.run("-c", "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 9))")
    assert sealed.connections()


def test_runtimes_of_exports_are_silent(sealed: Sealed) -> None:
    sealed.run("-c", RUNTIMES)
    assert (sealed.connections(), sealed.in_home()) == ([], set())


@pytest.mark.slow
def test_no_command_connects_to_a_network_or_writes_into_the_home_but_its_cache(sealed: Sealed) -> None:
    (sealed.folder / "c.yaml").write_text(
        "name: e\ndata: {train: images/train, test: images/test, image_size: 32}\n"
        "model: {base: small_cnn, weights: none}\ntransfer: {strategy: scratch}\ntraining: {epochs: 1}\n"
    )
    for command in COMMANDS:
        words = command.replace("e/exports", "runs/e/latest/exports").split()
        sealed.run("-m", "transfercli", *words)
        assert sealed.connections() == [], command
        assert sealed.in_home() <= {".cache/transfercli"}, command
