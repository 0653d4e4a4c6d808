"""A web server on loopback for tests of files behind HTTP: ETags, byte ranges, redirects and refusals."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WebServer(ThreadingHTTPServer):
    """Server of `files`, by path.

    Attributes:
        requests: (method, path with query) of every request.
        redirects: path -> address that it redirects to.
        refused: path -> status.
        most_bytes: content after which a connection is cut, for the next request alone; None: all is sent.
        ranges: False to answer with the whole content always.
        heads: False to refuse HEAD.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.redirects: dict[str, str] = {}
        self.refused: dict[str, int] = {}
        self.most_bytes: int | None = None
        self.ranges = self.heads = True

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def gets(self) -> list[str]:
        """Return the paths whose content was asked for, and forget all requests."""
        paths = [path for method, path in self.requests if method == "GET"]
        self.requests.clear()
        return sorted(paths)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WebServer

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        server, path = self.server, self.path.partition("?")[0]
        server.requests.append((self.command, self.path))
        if path in server.redirects:
            self._send(302, {"Location": server.redirects[path]}, b"")
        elif path in server.refused or path not in server.files:
            self._send(server.refused.get(path, 404), {}, b"")
        elif self.command == "HEAD" and not server.heads:
            self._send(405, {}, b"")
        else:
            self._content(server.files[path])

    def _content(self, content: bytes) -> None:
        headers, status = {"ETag": f'"{hashlib.sha256(content).hexdigest()[:16]}"'}, 200
        asked = self.headers.get("Range", "")
        if asked and self.server.ranges:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or len(content)), len(content) - 1) + 1
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
            content, status = content[start:end], 206
        self._send(status, headers, content)

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        most, self.server.most_bytes = self.server.most_bytes, None
        self.wfile.write(content[:most])
        if most is not None:
            self.close_connection = True


@contextmanager
def web_server() -> Iterator[WebServer]:
    """Yield a running server."""
    server = WebServer()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
