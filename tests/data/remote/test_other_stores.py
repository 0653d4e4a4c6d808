"""Hugging Face's library against a server on loopback with its interface, and the fields that gcsfs lists."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import huggingface_hub.constants
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tests.data.pixels import all_pixels
from tests.data.remote.test_parquet import class_labels
from transfercli.data.dataset import Dataset
from transfercli.data.remote import fetch, fsspec_store, retries, stores, versions
from transfercli.errors import DataError

Load = Callable[..., Dataset]
Grow = Callable[..., Path]
REPOSITORY = "datasets/ann/digits"


class Hub(ThreadingHTTPServer):
    """Hub with one data set.

    Attributes:
        files: content by path. reads: paths whose content was asked for. tokens: of all requests.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = dict[str, bytes]()
        self.reads, self.tokens = list[str](), set[str]()


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.tokens.add(self.headers.get("Authorization", ""))
        path = self.path.partition("?")[0]
        if path.startswith(f"/{REPOSITORY}/resolve/main/"):
            self._content(path.removeprefix(f"/{REPOSITORY}/resolve/main/"))
        elif path.startswith(f"/api/{REPOSITORY}/tree/"):
            below = path.removeprefix(f"/api/{REPOSITORY}/tree/main").strip("/")
            self._json([self._entry(name) for name in sorted(self.server.files) if name.startswith(below)])
        elif path.startswith(f"/api/{REPOSITORY}"):
            self._json({"id": "ann/digits", "sha": "0" * 40, "siblings": []})
        else:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with suppress(ValueError):
            body = "&".join(f"paths={path}" for path in json.loads(body)["paths"])
        self._json([self._entry(name) for name in sorted(self.server.files) if name in body.replace("%2F", "/")])

    def _entry(self, name: str) -> dict[str, Any]:
        content = self.server.files[name]
        digest = hashlib.sha256(content).hexdigest()
        stored = {"lfs": {"oid": digest, "size": len(content), "pointerSize": 130}} if name.endswith("parquet") else {}
        return {"type": "file", "path": name, "oid": digest[:40], "size": len(content), **stored}

    def _content(self, name: str) -> None:
        content, status, headers = self.server.files[name], 200, dict[str, str]()
        self.server.reads += [name] if self.command == "GET" else []
        if asked := self.headers.get("Range", ""):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            end = min(int(last or len(content)), len(content) - 1) + 1
            headers, status = {"Content-Range": f"bytes {first}-{end - 1}/{len(content)}"}, 206
            content = content[int(first) : end]
        self._send(status, content, headers)

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address, constants = f"http://127.0.0.1:{server.server_port}", huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", address)  # HF_ENDPOINT, which is read when the library is imported
    place = constants.HUGGINGFACE_CO_URL_TEMPLATE.partition("/{repo_id}")[2]
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{address}/{{repo_id}}{place}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for module in (fetch, retries):
        monkeypatch.setattr(module, "PAUSES", (0.0,))
    monkeypatch.setenv("HF_TOKEN", "hf_token_of_the_tests")
    stores._store.cache_clear()
    versions.mirror_at.cache_clear()
    versions.refreshed()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
    stores._store.cache_clear()


@pytest.fixture
def images(tmp_path: Path, grow: Grow) -> Path:
    return grow(tmp_path / "images", {"a": 8, "b": 8})


def test_a_data_set_of_parquet_files_is_read_from_a_hub(images: Path, load: Load, tmp_path: Path, hub: Hub) -> None:
    class_labels(tmp_path / "hub/data/train-00000-of-00001.parquet", images)
    for path in (tmp_path / "hub").rglob("*.parquet"):
        hub.files[path.relative_to(tmp_path / "hub").as_posix()] = path.read_bytes()
    hub.files["README.md"] = b"# Digits"
    local = load(tmp_path, train="hub")
    remote = load(tmp_path, train=f"hf://{REPOSITORY}")
    assert remote.records == local.records
    assert all_pixels(remote) == all_pixels(local)
    assert sorted(hub.reads) == ["README.md", "data/train-00000-of-00001.parquet"]
    assert load(tmp_path, train=f"hf://{REPOSITORY}/data/*.parquet").records[0].label == local.records[0].label
    assert len(hub.reads) == 2
    assert "Bearer hf_token_of_the_tests" in hub.tokens


def test_a_folder_of_images_is_read_from_a_hub_and_a_changed_one_again(
    images: Path, load: Load, tmp_path: Path, hub: Hub, png: Callable[[int], bytes]
) -> None:
    for path in images.rglob("*.png"):
        hub.files[path.relative_to(images).as_posix()] = path.read_bytes()
    assert load(tmp_path, train=f"hf://{REPOSITORY}").records == load(tmp_path).records
    changed = sorted(hub.files)[2]
    hub.files[changed] = png(900)
    hub.reads.clear()
    load(tmp_path, train=f"hf://{REPOSITORY}")
    assert hub.reads == [changed]


def test_a_data_set_that_the_hub_lacks_is_named(load: Load, tmp_path: Path, hub: Hub) -> None:
    with pytest.raises(DataError, match=r"hf://datasets/ann/other: (does not exist|access denied)") as error:
        load(tmp_path, train="hf://datasets/ann/other")
    assert "hf_token" not in f"{error.value.message} {error.value.hint}"


class GoogleStorage(MemoryFileSystem):
    """Objects in memory, described as gcsfs describes them: a generation that changes with the content."""

    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    def info(self, path: str, **more: Any) -> dict[str, Any]:
        return self._described(super().info(path, **more))

    def find(self, path: str, *args: Any, **more: Any) -> Any:
        found = super().find(path, *args, **more)
        return {name.lstrip("/"): self._described(info) for name, info in found.items()}

    def _described(self, info: dict[str, Any]) -> dict[str, Any]:
        if info["type"] == "directory":
            return info
        content = self.store[info["name"]].getvalue()
        generation = str(int(hashlib.sha256(content).hexdigest()[:12], 16))
        return {"name": info["name"].lstrip("/"), "type": "file", "size": len(content), "generation": generation}


def test_objects_of_google_are_versioned_by_their_generation(
    images: Path, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, png: Callable[[int], bytes]
) -> None:
    system = GoogleStorage()
    for path in images.rglob("*.png"):
        system.pipe_file(f"/bucket/images/{path.relative_to(images).as_posix()}", path.read_bytes())
    monkeypatch.setitem(fsspec_store._SYSTEMS, "gs", lambda: system)
    stores._store.cache_clear()
    versions.mirror_at.cache_clear()
    first = load(tmp_path, train="gs://bucket/images")
    assert first.records == load(tmp_path).records
    changed = first.records[4].path
    system.pipe_file(f"/bucket/images/{changed}", png(900))
    again = load(tmp_path, train="gs://bucket/images")
    assert [new.path for old, new in zip(first.records, again.records, strict=True) if old.sha256 != new.sha256] == [
        changed
    ]
    stores._store.cache_clear()
