"""Trainings in one process or several on this machine, each on one processor device or several."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.source_tree import PACKAGE

PROGRAM = Path(__file__).with_name("program.py")
LIMIT = 600  # seconds; a training takes some twenty


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    stdout: str
    stderr: str


def launch(folder: Path, config: dict, run_id: str, *, processes: int = 1, devices: int = 1, **variables: str):
    """Train a config in several processes with a runs folder each, `runs-RANK`, and return how each of them ended."""
    (folder / f"{run_id}.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(processes):
        environment = {
            **{name: value for name, value in os.environ.items() if "TENSORFLOW" not in name},
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "JAX_NUM_CPU_DEVICES": str(devices),
            "PYTHONPATH": str(PACKAGE.parent),
            "TRANSFERCLI_CACHE": str(folder / f"cache-{run_id}"),
            **variables,
        }
        if processes > 1:
            environment |= {
                "KERAS_DISTRIBUTION_JOB_ADDRESSES": f"127.0.0.1:{port}",
                "KERAS_DISTRIBUTION_NUM_PROCESSES": str(processes),
                "KERAS_DISTRIBUTION_PROCESS_ID": str(rank),
            }
        command = [sys.executable, str(PROGRAM), "finetune", f"{run_id}.yaml", "--run-id", run_id]
        command += ["--runs", f"runs-{rank}", "--json"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, cwd=folder, env=environment, **pipes))
    try:
        outputs = [process.communicate(timeout=LIMIT) for process in started]
    finally:
        for process in started:
            process.kill()
    return [Ended(process.returncode, *output) for process, output in zip(started, outputs, strict=True)]
