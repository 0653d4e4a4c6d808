"""A real S3 server (moto) on loopback for tests: it counts requests, and can stop answering after some of them."""

from __future__ import annotations

import socket
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from transfercli.data.remote import stores, versions

BUCKET = "pictures"


class QuietHandler(MotoRequestHandler):
    """Handler without a line for every request."""

    def log(self, *_: Any) -> None:
        pass


class ObjectServer:
    """S3 on a port of 127.0.0.1.

    Attributes:
        requests: (method, path) of every request, in order.
        most_gets: number of objects that are served before the server goes away; None: any number.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        self.most_gets: int | None = None
        self._application = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._start(0)

    def _start(self, port: int) -> None:
        self.server: BaseWSGIServer = make_server(
            "127.0.0.1", port, self._answer, threaded=True, request_handler=QuietHandler
        )
        self.port = self.server.server_port
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Close the port: connections are refused from now on."""
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()

    def start_again(self) -> None:
        """Serve the same objects on the same port."""
        self.most_gets = None
        self._start(self.port)

    def gets(self) -> list[str]:
        """Return the keys of the objects whose content was asked for, and forget all requests."""
        keys = [path.removeprefix(f"/{BUCKET}/") for method, path in self.requests if method == "GET"]
        self.requests.clear()
        return sorted(key for key in keys if key and key != f"/{BUCKET}")

    def client(self) -> Any:
        import boto3

        return boto3.client("s3", endpoint_url=self.address, region_name="us-east-1")

    def upload(self, folder: Path, prefix: str = "") -> None:
        """Upload the files below a folder, with their paths relative to it as keys."""
        client = self.client()
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                client.put_object(
                    Bucket=BUCKET, Key=f"{prefix}{path.relative_to(folder).as_posix()}", Body=path.read_bytes()
                )

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        content = method == "GET" and len(path.strip("/").split("/")) > 1
        with self._lock:
            self.requests.append((method, path))
            if content and self.most_gets is not None:
                self.most_gets -= 1
                if self.most_gets < 0:
                    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
                    raise ConnectionAbortedError
        answer: Iterable[bytes] = self._application(environ, start_response)
        return answer


@contextmanager
def fresh_object_server(environment: Callable[[str, str], None]) -> Iterator[ObjectServer]:
    """Yield a server as `object_server`; nothing that this process has asked of another one is known."""
    with object_server(environment) as server:
        stores._store.cache_clear()
        versions.mirror_at.cache_clear()
        versions.refreshed()
        yield server
    stores._store.cache_clear()


@contextmanager
def object_server(environment: Callable[[str, str], None]) -> Iterator[ObjectServer]:
    """Yield a server with the bucket `BUCKET`; `environment` sets the variables that lead clients to it."""
    server = ObjectServer()
    try:
        for name, value in {
            "AWS_ENDPOINT_URL": server.address,
            "AWS_ACCESS_KEY_ID": "key-of-the-tests",
            "AWS_SECRET_ACCESS_KEY": "secret-of-the-tests",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            environment(name, value)
        request = urllib.request.Request(f"{server.address}/moto-api/reset", method="POST")
        urllib.request.urlopen(request).close()  # the objects are those of the process, not of the server
        server.client().create_bucket(Bucket=BUCKET)
        yield server
    finally:
        server.stop()
