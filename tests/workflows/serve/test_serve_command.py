"""The command `serve` in a process of its own, with a real model: its address, its answers and its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.workflows.predict.predicted import said
from tests.workflows.serve.conftest import FIRST, SECOND
from transfercli.io import atomic

COMMAND = [sys.executable, "-m", "transfercli", "serve"]
SECONDS = 120


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Yield a running command and the JSON object that it prints as soon as it answers."""
    process = subprocess.Popen(
        [*COMMAND, *arguments, "--port", "0", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def server(champion: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    with serving("digits@champion", "--format", "onnx", "--runs", str(champion)) as running:
        yield running


def test_its_address_is_printed_when_it_answers(server: Any, champion: Path) -> None:
    _, result = server
    assert result["format"] == 1
    assert result["models"] == [{"name": "digits", "version": FIRST, "state": "ready"}]
    assert httpx.get(f"{result['address']}/readyz").status_code == 200


def test_all_protocols_answer_as_predict_does(server: Any, source: Any, champion: Path, pictures: list[Path]) -> None:
    _, result = server
    content, artefact = pictures[0].read_bytes(), champion / "digits" / FIRST / "exports" / "onnx"
    (expected,) = said(source[0], artefact, [str(pictures[0])], abstain=True)
    answer = httpx.post(f"{result['address']}/predict/digits", content=content).json()
    line = expected.as_json()
    assert {name: answer[name] for name in ("label", "abstained", "strange")} == {
        name: line[name] for name in ("label", "abstained", "strange")
    }
    assert dict(answer["top"]) == pytest.approx(dict(line["top"]), abs=1e-6)


def test_neither_tensorflow_nor_keras_is_imported_for_an_onnx_file(server: Any) -> None:
    process, _ = server
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    maps = "".join(Path(f"/proc/{number}/maps").read_text() for number in (process.pid, *children))
    assert "onnxruntime" in maps
    assert "tensorflow" not in maps


def test_a_stop_answers_the_requests_under_way_and_leaves_no_process(champion: Path, pictures: list[Path]) -> None:
    with serving("digits@champion", "--format", "onnx", "--runs", str(champion)) as (process, result):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        with httpx.Client(base_url=result["address"]) as client:
            pictures_body = [("image", (path.name, path.read_bytes())) for path in pictures[:60]]
            answers: list[httpx.Response] = []
            request = client.build_request("POST", "/predict/digits", files=pictures_body)
            sender = threading.Thread(target=lambda: answers.append(client.send(request)))
            sender.start()
            metrics = 'transfercli_queue_images{model="digits"}'
            while not answers and f"{metrics} 0.0" in httpx.get(f"{result['address']}/metrics").text:
                pass
            for number in (process.pid, *map(int, children)):  # as a service manager stops a whole group
                os.kill(number, signal.SIGTERM)
            sender.join(SECONDS)
        assert [answer.status_code for answer in answers] == [200]
        out, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 143
        assert out == "", "the address is the only object on stdout"
        left = [Path(f"/proc/{child}") for child in children]
        while any(child.exists() for child in left):  # one that was killed a moment ago may still be there
            pass


@pytest.mark.slow
def test_a_promotion_under_load_fails_no_request(runs: Path, pictures: list[Path]) -> None:
    content = pictures[0].read_bytes()
    with serving("digits@champion", "--runs", str(runs)) as (_, result):
        address, stop = result["address"], threading.Event()
        statuses: list[int] = []

        def load() -> None:
            with httpx.Client(base_url=address, timeout=SECONDS) as client:
                while not stop.is_set():
                    statuses.append(client.post("/predict/digits", content=content).status_code)

        clients = [threading.Thread(target=load) for _ in range(4)]
        for client in clients:
            client.start()
        atomic.replace_symlink(runs / "digits" / "champion", SECOND)
        with httpx.Client(base_url=address, timeout=SECONDS) as watcher:
            while SECOND not in watcher.get("/v1/models/digits").text:
                pass
        before = len(statuses)
        while len(statuses) < before + 20:
            pass
        stop.set()
        for client in clients:
            client.join()
    assert set(statuses) == {200}


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["digits@champion", "--format", "litert"], 6, "has no export in the format litert"),
        (["digits@champion", "--format", "onyx"], 2, "did you mean"),
        (["digits@champion", "--token-file", "nowhere"], 2, "--token-file nowhere"),
        (["digits@champion", "--access-log", "no/where"], 2, "--access-log no/where"),
        (["digits@champion", "--host", "192.0.2.1", "--format", "onnx"], 2, "cannot listen"),
        ([f"digits/{SECOND}", "--format", "onnx"], 6, "cannot be loaded"),
    ],
)
def test_what_cannot_be_served_ends_the_command(runs: Path, arguments: list[str], code: int, message: str) -> None:
    (runs / "digits" / SECOND / "exports" / "onnx" / "model.onnx").write_bytes(b"no model")
    line = [*COMMAND, *arguments, "--runs", str(runs), "--port", "0", "--json"]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=SECONDS)
    assert ended.returncode == code, ended.stderr
    assert message in ended.stderr
    assert json.loads(ended.stdout)["error"]["code"] == code
