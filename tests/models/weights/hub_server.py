"""A small server that answers as the Hugging Face Hub does, on this machine."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from tests.models.weights.foreign_files import COMMIT


class Hub:
    """Repositories of one commit, and the errors of others. asked: the paths of all requests."""

    def __init__(self) -> None:
        self.files: dict[str, Mapping[str, bytes]] = {}
        self.errors: dict[str, tuple[int, str]] = {}
        self.asked: list[str] = []
        self.address = ""

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body for a path."""
        self.asked.append(path)
        for repository, (status, code) in self.errors.items():
            if repository in path:
                return status, {"X-Error-Code": code}, b"{}"
        for repository, files in self.files.items():
            if path.startswith(f"/api/models/{repository}"):
                if "/revision/" in path and path.rpartition("/")[2] not in ("main", COMMIT):
                    return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
                return 200, {"Content-Type": "application/json"}, self._description(repository).encode()
            if path.startswith(f"/{repository}/resolve/"):
                name = path.removeprefix(f"/{repository}/resolve/").partition("/")[2]
                if name not in files:
                    return 404, {"X-Error-Code": "EntryNotFound"}, b""
                digest = hashlib.sha256(files[name]).hexdigest()
                return 200, {"X-Repo-Commit": COMMIT, "ETag": f'"{digest}"'}, files[name]
        return 401, {"X-Error-Code": "RepoNotFound"}, b"{}"

    def _description(self, repository: str) -> str:
        siblings = [
            {
                "rfilename": name,
                "size": len(data),
                "lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130},
            }
            for name, data in self.files[repository].items()
        ]
        return json.dumps({"id": repository, "sha": COMMIT, "siblings": siblings})


@contextmanager
def serving() -> Iterator[Hub]:
    """Serve a hub on a free port until the block ends."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._send(body=False)

        def do_GET(self) -> None:
            self._send(body=True)

        def _send(self, body: bool) -> None:
            status, headers, content = hub.answer(unquote(urlsplit(self.path).path))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
