"""nginx with the files of docs/guides/serving before the real server, over TLS, a port and a Unix socket."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from tests.workflows.serve.clients.conftest import Exported
from tests.workflows.serve.clients.running import PATIENCE, RECIPES, serving

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")

# What the snippets leave to the distribution: they are included in the section `http`.
MAIN = """
{user} pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/transfercli.conf;
}}
"""
SOCKET = "unix:/run/transfercli/serve.sock"


def write_config(folder: Path, port: int, upstream: str, **replaced: str) -> Path:
    """Write the recipe with the places of this machine in it; each must have been there."""
    certificate = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=models.example.org", "-days", "1")
    paths = ("-keyout", str(folder / "key"), "-out", str(folder / "certificate"))
    subprocess.run(["openssl", *certificate, *paths], check=True, capture_output=True)
    text = (RECIPES / "nginx.conf").read_text()
    places = {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        SOCKET: upstream,
        "/etc/ssl/models.example.org.pem": str(folder / "certificate"),
        "/etc/ssl/private/models.example.org.key": str(folder / "key"),
        "/etc/nginx/transfercli_proxy.conf": str(RECIPES / "nginx_proxy.conf"),
        **replaced,
    }
    for old, new in places.items():
        assert old in text, old
        text = text.replace(old, new)
    (folder / "transfercli.conf").write_text(text)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user="user root;" if os.geteuid() == 0 else ""))
    return folder / "nginx.conf"


class Proxy:
    """A running nginx, and one connection to it."""

    def __init__(self, port: int) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.connection = HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=context)

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        self.connection.request("GET" if body is None else "POST", path, body, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}


@contextmanager
def proxy(folder: Path, upstream: str, **replaced: str) -> Iterator[Proxy]:
    """Yield a running nginx; its command returns once it listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = str(write_config(folder, port, upstream, **replaced))
    command = ("nginx", "-c", config, "-e", str(folder / "start.log"))
    started = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert started.returncode == 0, started.stderr
    nginx = Proxy(port)
    try:
        yield nginx
    finally:
        nginx.connection.close()
        subprocess.run([*command, "-s", "quit"], check=True)


@contextmanager
def backend(work: Callable[[socket.socket], None]) -> Iterator[str]:
    """Yield the address of a server that does some work with its listening socket, in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(work, listener)
            yield f"127.0.0.1:{listener.getsockname()[1]}"
            done.result(PATIENCE)


def test_nginx_finds_no_fault_in_the_recipe(tmp_path: Path) -> None:
    config = write_config(tmp_path, 8443, "127.0.0.1:8500")
    done = subprocess.run(
        ["nginx", "-t", "-c", str(config), "-e", str(tmp_path / "start.log")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr


@pytest.mark.parametrize("way", ["port", "unix socket"])
def test_an_answer_through_nginx_is_that_of_the_server(way: str, exported_digits: Exported, tmp_path: Path) -> None:
    place = ("--port", "0") if way == "port" else ("--unix-socket", str(tmp_path / "serve.sock"))
    log = tmp_path / "access.jsonl"
    with (
        serving(f"digits={exported_digits.artefact}", *place, "--access-log", str(log)) as server,
        proxy(tmp_path, server.address.removeprefix("http://")) as nginx,
    ):
        for file, (label, probability) in zip(exported_digits.files, exported_digits.answers, strict=True):
            status, body, headers = nginx.ask("/predict/digits", Path(file).read_bytes())
            assert (status, json.loads(body)["label"]) == (200, label)
            assert json.loads(body)["probability"] == pytest.approx(probability, abs=1e-6)
        assert nginx.ask("/readyz")[0] == 200
        assert b"transfercli_requests_total" in nginx.ask("/metrics")[1]
        status, body, _ = nginx.ask("/predict/flowers", b"x")
        assert (status, json.loads(body)["error"]["kind"]) == (404, "model")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert headers["x-request-id"] in {line["id"] for line in lines}  # the two logs name a request alike


def test_nginx_refuses_a_large_body_and_the_server_does_not_see_it(exported_digits: Exported, tmp_path: Path) -> None:
    log = tmp_path / "access.jsonl"
    small = {"client_max_body_size 64m": "client_max_body_size 100k"}
    with (
        serving(f"digits={exported_digits.artefact}", "--port", "0", "--access-log", str(log)) as server,
        proxy(tmp_path, server.host, **small) as nginx,
    ):
        assert nginx.ask("/predict/digits", bytes(200_000))[0] == 413
    assert log.read_text() == ""


BUSY = b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy"


def test_a_busy_server_is_not_asked_again_and_its_answer_arrives(tmp_path: Path) -> None:
    """503 is not for nginx to try again: the client learns how long to wait. The connection is kept open."""
    asked = []

    def refuse_twice(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            for _ in range(2):
                asked.append(connection.recv(65536))
                connection.sendall(BUSY)

    with backend(refuse_twice) as address, proxy(tmp_path, address) as nginx:
        for _ in range(2):
            status, body, headers = nginx.ask("/predict/digits", b"an image")
            assert (status, body, headers["retry-after"]) == (503, b"busy", "7")
    assert [b"Host: localhost\r\n" in request for request in asked] == [True, True]


def test_a_connection_that_the_server_closed_meanwhile_costs_no_request(tmp_path: Path) -> None:
    """The server closes a kept connection as the next request is on its way; nginx sends it again on another one."""
    asked = []

    def close_early(listener: socket.socket) -> None:
        first, _ = listener.accept()
        with first:
            asked.append(first.recv(65536))
            first.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst")
            asked.append(first.recv(65536))
        second, _ = listener.accept()
        with second:
            asked.append(second.recv(65536))
            second.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond")

    with backend(close_early) as address, proxy(tmp_path, address) as nginx:
        assert nginx.ask("/predict/digits", b"an image")[:2] == (200, b"first")
        assert nginx.ask("/predict/digits", b"an image")[:2] == (200, b"second")
    assert len(asked) == 3
