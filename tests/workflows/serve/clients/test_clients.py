"""The clients of docs/guides/serving against the real server: each prints what `predict` answers."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.workflows.serve.clients.conftest import Exported
from tests.workflows.serve.clients.running import RECIPES, Server, run_client, serving

HTTP_CLIENTS = {
    "client.py": (sys.executable,),
    "client_httpx.py": (sys.executable,),
    "client.mjs": ("node",),
}
TOKEN = "a-token-of-nobody-0123456789"


@contextmanager
def answering(*answers: tuple[int, bytes]) -> Iterator[str]:
    """Yield the address of a server that gives these answers, a status and a body each, one a request."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = left.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Retry-After", "1")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing: the output of the test is that of the client."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def command(client: str) -> tuple[str, ...]:
    program = HTTP_CLIENTS[client]
    if shutil.which(program[0]) is None:
        pytest.skip(f"{program[0]} is not installed")
    return (*program, str(RECIPES / client))


@pytest.mark.parametrize("client", HTTP_CLIENTS)
def test_a_client_prints_what_predict_answers(client: str, server: Server, exported_digits: Exported) -> None:
    done = run_client(*command(client), server.address, "digits", *exported_digits.files)
    assert (done.returncode, done.stdout, done.stderr) == (0, exported_digits.lines, "")


@pytest.mark.parametrize("client", HTTP_CLIENTS)
def test_a_client_prints_why_an_image_has_no_answer(
    client: str, server: Server, exported_digits: Exported, tmp_path: Path
) -> None:
    (tmp_path / "note.jpg").write_text("no image")
    files = [str(tmp_path / "note.jpg"), exported_digits.files[0]]
    done = run_client(*command(client), server.address, "digits", *files)
    assert done.returncode == 1
    first, second = done.stdout.splitlines()
    assert "the image cannot be read" in first
    assert second == exported_digits.lines.splitlines()[0]


@pytest.mark.parametrize("client", ["client.sh", *HTTP_CLIENTS])
def test_a_client_sends_its_token_and_asks_over_a_unix_socket(
    client: str, exported_digits: Exported, tmp_path: Path
) -> None:
    """Node's fetch has no Unix sockets, so it asks a port."""
    (tmp_path / "token").write_text(TOKEN)
    socket = tmp_path / "serve.sock"
    place = ("--port", "0") if client == "client.mjs" else ("--unix-socket", str(socket))
    words = command(client) if client in HTTP_CLIENTS else ("sh", str(RECIPES / client))
    arguments = (f"digits={exported_digits.artefact}", *place, "--token-file", str(tmp_path / "token"))
    with serving(*arguments) as server:
        call = (*words, server.address, "digits", exported_digits.files[0])
        refused = run_client(*call)
        allowed = run_client(*call, environment={"TRANSFERCLI_TOKEN_FILE": str(tmp_path / "token")})
    assert refused.returncode != 0
    assert "asks for a token" in refused.stdout
    assert (allowed.returncode, allowed.stderr) == (0, "")
    label, _ = exported_digits.answers[0]
    assert f" {label} " in allowed.stdout or f'"label":"{label}"' in allowed.stdout


def test_curl_prints_the_json_of_predict(server: Server, exported_digits: Exported) -> None:
    done = run_client("sh", str(RECIPES / "client.sh"), server.address, "digits", *exported_digits.files)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["label"], one["probability"]) for one in answers] == [
        pytest.approx(pair) for pair in exported_digits.answers
    ]


def test_curl_goes_on_after_a_file_without_an_answer(server: Server, exported_digits: Exported, tmp_path: Path) -> None:
    """As the other clients: one line a file, and exit code 1 at the end."""
    (tmp_path / "note.jpg").write_text("no image")
    files = [str(tmp_path / "note.jpg"), str(tmp_path / "missing.jpg"), exported_digits.files[0]]
    done = run_client("sh", str(RECIPES / "client.sh"), server.address, "digits", *files)
    refused, missing, answered = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert "the image cannot be read" in refused["error"]["message"]
    assert missing is None
    assert f"{files[1]}: there is no such file, or it cannot be read\n" in done.stderr
    assert answered["label"] == exported_digits.answers[0][0]


def test_curl_prints_the_last_answer_alone_if_the_server_was_busy(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("an image")
    with answering((503, b'{"error": "busy"}'), (200, b'{"label": "rose"}'), (200, b'{"label": "lily"}')) as address:
        call = ("sh", str(RECIPES / "client.sh"), address, "flowers", *[str(tmp_path / "photo.jpg")] * 2)
        done = run_client(*call)
    assert (done.returncode, done.stdout) == (0, '{"label": "rose"}\n{"label": "lily"}\n'), done.stderr


def test_curl_fails_with_the_answer_of_the_server(server: Server, exported_digits: Exported) -> None:
    done = run_client("sh", str(RECIPES / "client.sh"), server.address, "flowers", exported_digits.files[0])
    assert done.returncode != 0
    assert json.loads(done.stdout)["error"]["message"] == "there is no model of this name: the models here are digits"


def test_the_client_of_triton_gets_the_same_answers(server: Server, exported_digits: Exported) -> None:
    pytest.importorskip("tritonclient.http")
    client = (sys.executable, str(RECIPES / "client_triton.py"))
    done = run_client(*client, server.host, "digits", *exported_digits.files)
    assert (done.returncode, done.stdout) == (0, exported_digits.lines), done.stderr


def test_a_request_for_tensorflow_serving_gets_the_same_answers(server: Server, exported_digits: Exported) -> None:
    client = (sys.executable, str(RECIPES / "client_tensorflow_serving.py"))
    done = run_client(*client, server.address, "digits", *exported_digits.files)
    # Labels are numbers there: the class of each digit is its own index.
    assert (done.returncode, done.stdout) == (0, exported_digits.lines), done.stderr
