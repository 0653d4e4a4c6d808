"""Application of `serve`: guards, errors, health, metrics and the access log, over a real socket."""

import io
import json
import os
import threading
from contextlib import ExitStack

import httpx
import pytest

from tests.running_server import RunningServer, running_server
from tests.workflows.serve.conftest import RED
from tests.workflows.serve.fake_models import FakeModel
from transfercli.errors import DataError
from transfercli.web.address import Address
from transfercli.workflows.serve import access_log
from transfercli.workflows.serve.app import build_app
from transfercli.workflows.serve.errors import NotReady, Overloaded, TimedOut
from transfercli.workflows.serve.metrics import Metrics
from transfercli.workflows.serve.service import Settings

TOKEN = "0123456789abcdef"
LOOPBACK = Address(port=1)
ASK = {
    "plain": ("/predict/colours", RED, {"content-type": "image/png"}),
    "tensorflow_serving": ("/v1/models/colours:predict", b'{"instances": [[[[1, 2, 3]]]]}', {}),
    "open_inference": (
        "/v2/models/colours/infer",
        b'{"inputs": [{"name": "images", "datatype": "UINT8", "shape": [1, 1, 1, 3], "data": [1, 2, 3]}]}',
        {},
    ),
}


class Opened:
    """A server of one model, and a client of it."""

    def __init__(
        self, model: FakeModel, running: RunningServer, client: httpx.Client, bugs: list[BaseException]
    ) -> None:
        self.model, self.running, self.client, self.bugs = model, running, client, bugs

    def ask(self, protocol: str, **headers: str) -> httpx.Response:
        path, content, own = ASK[protocol]
        return self.client.post(path, content=content, headers={**own, **headers})


@pytest.fixture
def opened():
    """Yield a function that starts a server with settings."""
    with ExitStack() as stack:

        def start(address: Address = LOOPBACK, metrics: Metrics | None = None, **settings) -> Opened:
            model, bugs = FakeModel(), []
            app = build_app({"colours": model}, Settings(address, report_bug=bugs.append, **settings), metrics)
            running = stack.enter_context(running_server(app))
            return Opened(model, running, stack.enter_context(httpx.Client(base_url=running.address)), bugs)

        yield start


FAILURES = [
    (Overloaded("too many", retry_after=2.3), 503, "3"),
    (NotReady("it is being loaded"), 503, "1"),
    (TimedOut("30 s"), 504, None),
    (DataError("the data in /home/ann/secret.png is bad"), 422, None),
    (ZeroDivisionError("/home/ann/secret.py"), 500, None),
]


@pytest.mark.parametrize("protocol", ASK)
def test_failures_of_a_model_have_a_status_each_and_show_nothing_of_the_machine(opened, protocol):
    server = opened()
    for failure, status, wait in FAILURES:
        server.model.failure = failure
        answer = server.ask(protocol)
        assert (answer.status_code, answer.headers.get("retry-after")) == (status, wait)
        assert "/home" not in answer.text
        assert "Traceback" not in answer.text
        assert "error" in answer.json()
    assert [type(bug) for bug in server.bugs] == [ZeroDivisionError]
    server.model.failure = None
    assert server.ask(protocol).status_code == 200


def test_a_token_is_asked_for_but_not_by_the_health(opened):
    server = opened(token=TOKEN)
    for protocol in ASK:
        assert server.ask(protocol).status_code == 401
        assert server.ask(protocol, authorization=f"Bearer {TOKEN}x").status_code == 401
        assert server.ask(protocol, authorization=f"Bearer {TOKEN}").status_code == 200
    assert server.client.get("/metrics").status_code == 401
    assert server.client.get("/nothing").status_code == 401
    assert server.client.get("/healthz").status_code == server.client.get("/readyz").status_code == 200


def test_names_of_other_hosts_are_refused_on_loopback_alone(opened):
    evil = {"host": "evil.example"}
    assert opened().client.get("/healthz", headers=evil).status_code == 421
    assert opened(Address("0.0.0.0", 1)).client.get("/healthz", headers=evil).status_code == 200
    assert opened(Address(unix="/tmp/x")).client.get("/healthz", headers=evil).status_code == 200


def test_the_server_is_ready_when_all_models_are(opened):
    server = opened()
    assert server.client.get("/readyz").json() == {"format": 1, "status": "ready", "not_ready": []}
    server.model.state = "loading"
    answer = server.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["not_ready"] == ["colours"]
    assert server.client.get("/v2/health/ready").status_code == 503
    assert server.client.get("/v2/models/colours/ready").status_code == 503
    assert server.client.get("/v1/models/colours").json()["model_version_status"][0]["state"] == "LOADING"
    assert server.client.get("/healthz").status_code == server.client.get("/v2/health/live").status_code == 200


@pytest.mark.parametrize(
    "method, path, status, allowed",
    [
        ("GET", "/v1/models/colours:predict", 405, "OPTIONS, POST"),
        ("DELETE", "/predict/colours", 405, "GET, HEAD, OPTIONS, POST"),
        ("OPTIONS", "/predict/colours", 204, "GET, HEAD, OPTIONS, POST"),
        ("POST", "/healthz", 405, "GET, HEAD, OPTIONS"),
        ("HEAD", "/healthz", 200, None),
    ],
)
def test_methods_are_those_of_the_path(opened, method, path, status, allowed):
    answer = opened().client.request(method, path)
    assert (answer.status_code, answer.headers.get("allow")) == (status, allowed)
    assert method not in ("HEAD", "OPTIONS") or answer.content == b""


def test_paths_lead_nowhere_else(opened):
    server = opened()
    paths = (
        *("/..", "/../etc/passwd", "/predict/..", "/predict/%2e%2e", "/predict/%2e%2e%2fetc", "/predict/a%00b"),
        *("/predict/", "//predict/colours", "/v1/models/", "/v2/models//infer", "/predict/colours/", "/v3", "/%ff"),
        *("/Predict/colours", "/predict/colours;x", "/predict/colours%20", "/predict/{name}", "/static/../healthz"),
    )
    for path in paths:
        asked = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        assert (path, server.running.status(asked.encode())) == (path, 404)


def test_large_bodies_are_refused_before_they_are_read(opened):
    server = opened(most_bytes=1000)
    assert server.client.post("/predict/colours", content=bytes(1001)).status_code == 413
    chunks = (bytes(100) for _ in range(100))
    assert server.client.post("/predict/colours", content=chunks).status_code == 413
    assert server.ask("plain").status_code == 200


def test_bodies_of_all_requests_together_have_a_limit(opened):
    server = opened(most_bytes_held=1000)
    answer = server.client.post("/predict/colours", content=bytes(2000))
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    for _ in range(30):  # what one request held is given back
        assert server.ask("plain").status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
def test_compressed_bodies_are_refused(opened, encoding):
    assert opened().ask("plain", **{"content-encoding": encoding}).status_code == 415


def test_each_request_is_a_line_of_the_log_without_what_clients_sent(opened):
    log = io.BytesIO()
    server = opened(log=log)
    server.ask("plain", **{"x-request-id": "abc-1"})
    server.client.post("/predict/colours?name=secret", content=b"hidden")
    server.client.get("/secret%0a/path", headers={"x-request-id": "two words"})
    server.client.get("/v1/models/secret")
    names = [server.client.get("/healthz").headers["x-request-id"] for _ in range(2)]
    assert len(set(names)) == 2
    server.client.close()
    _ended()
    assert b"secret" not in log.getvalue()
    assert b"hidden" not in log.getvalue()
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["status"] for line in lines] == [200, 422, 404, 404, 200, 200]
    first = lines[0]
    assert {key: first[key] for key in ("method", "path", "model", "version", "images", "id", "received")} == {
        "method": "POST",
        "path": "/predict/{name}",
        "model": "colours",
        "version": "run-1",
        "images": 1,
        "id": "abc-1",
        "received": len(RED),
    }
    assert lines[2]["path"] is None
    assert lines[2]["id"] != "two words"


def _ended() -> None:
    """Wait until the log is written, or its writer has ended."""
    for thread in threading.enumerate():
        if thread.name == "access-log":
            thread.join(access_log.SECONDS * 5)


def test_a_reader_of_the_log_that_stops_reading_stops_no_answer(opened):
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as unread, os.fdopen(writing, "wb", buffering=0) as log:
        server = opened(log=log)
        for _ in range(600):  # 600 lines of 200 bytes are more than a pipe holds
            assert server.client.get("/healthz").status_code == 200
        unread.close()
        _ended()


class FullDisk(io.RawIOBase):
    """File of a disk that takes half of what is written, then is full a few times, and takes all after that."""

    def __init__(self) -> None:
        self.content, self.refusals = b"", 3

    def write(self, content):
        if not self.content:
            self.content += content[: len(content) // 2]
            return len(self.content)
        if self.refusals:
            self.refusals -= 1
            raise OSError(28, "No space left on device")
        self.content += content
        return len(content)


def test_a_full_disk_loses_no_line_of_the_log_and_is_said_once(opened):
    warnings, disk = [], FullDisk()
    server = opened(log=disk, warn=warnings.append)
    server.ask("plain")
    while disk.refusals:
        server.ask("plain")
    server.ask("plain", **{"x-request-id": "last"})
    server.client.close()
    while b"last" not in disk.content:
        _ended()
    lines = [json.loads(line) for line in disk.content.splitlines()]
    assert lines[-1]["id"] == "last"
    assert len(warnings) == 1
    assert "No space left on device" in warnings[0]


def test_metrics_name_known_models_alone(opened):
    metrics = Metrics()
    server = opened(metrics=metrics)
    for protocol in ASK:
        server.ask(protocol)
    for number in range(50):
        server.client.get(f"/v1/models/unknown-{number}")
        server.client.get(f"/nothing/{number}")
    server.client.post("/predict/colours", content=b"x")
    metrics.batch("colours", 3, 0.01)
    metrics.queue("colours", 5)
    metrics.swap("colours", "done")
    text = server.client.get("/metrics").text
    assert "unknown-" not in text
    assert "nothing" not in text
    for line in (
        'transfercli_requests_total{code="200",model="colours",protocol="plain"} 1.0',
        'transfercli_requests_total{code="404",model="",protocol="tensorflow_serving"} 50.0',
        'transfercli_images_total{model="colours"} 3.0',
        'transfercli_images_unread_total{model="colours"} 1.0',
        'transfercli_abstentions_total{model="colours"} 2.0',
        'transfercli_batch_images_count{model="colours"} 1.0',
        'transfercli_queue_images{model="colours"} 5.0',
        'transfercli_swaps_total{model="colours",outcome="done"} 1.0',
        'transfercli_model_info{model="colours",version="run-1"} 1.0',
        'transfercli_model_ready{model="colours"} 1.0',
    ):
        assert line in text.splitlines()
