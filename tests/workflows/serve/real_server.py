"""The command `serve` in a process of its own, with clients of every protocol."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.running_server import RunningServer

PATIENCE = 120  # seconds until the models are loaded, with a busy machine in mind


@contextmanager
def serve(*arguments: str) -> Iterator[tuple[RunningServer, subprocess.Popen[str]]]:
    """Yield the server of `serve ARGUMENTS --port 0`, and its process; stop it with the block."""
    command = [sys.executable, "-m", "transfercli", "serve", *arguments, "--port", "0"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None and process.stderr is not None  # noqa: PT018
    stop = threading.Timer(PATIENCE, process.kill)
    stop.start()
    address = process.stdout.readline().strip()
    stop.cancel()
    messages: list[str] = []
    reading = threading.Thread(target=lambda: messages.extend(process.stderr), daemon=True)  # type: ignore[arg-type]
    reading.start()
    try:
        assert address, "".join(messages)
        yield RunningServer(int(address.rpartition(":")[2])), process
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            reading.join(5)
            process.stderr.close()


def ask_plainly(client: httpx.Client, model: str, files: Sequence[Path], **query: Any) -> list[dict[str, Any]]:
    """Return the answers to one request a file."""
    answers = [client.post(f"/predict/{model}", content=file.read_bytes(), params=query) for file in files]
    return [answer.raise_for_status().json() for answer in answers]


def ask_tensorflow_serving(client: httpx.Client, model: str, files: Sequence[Path]) -> list[Any]:
    """Return the rows that answer files."""
    instances = [{"b64": base64.b64encode(file.read_bytes()).decode()} for file in files]
    answer = client.post(f"/v1/models/{model}:predict", json={"instances": instances}).raise_for_status()
    rows: list[Any] = answer.json()["predictions"]
    return rows


def ask_open_inference(client: httpx.Client, model: str, files: Sequence[Path]) -> dict[str, list[Any]]:
    """Return the flat data of the tensors that answer files."""
    data = [base64.b64encode(file.read_bytes()).decode() for file in files]
    tensor = {"name": "encoded", "datatype": "BYTES", "shape": [len(files)], "data": data}
    answer = client.post(f"/v2/models/{model}/infer", json={"inputs": [tensor]}).raise_for_status()
    return {one["name"]: one["data"] for one in answer.json()["outputs"]}
