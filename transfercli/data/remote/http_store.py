"""Files behind HTTP: single files, read over https with byte ranges; folders cannot be listed."""

from __future__ import annotations

import contextlib
import re
import ssl
import urllib.request
from collections.abc import Collection, Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import urllib3

from transfercli.data.remote.store import (
    CONNECT_SECONDS,
    PART_BYTES,
    READ_SECONDS,
    RemoteError,
    RemoteFile,
    denied,
    missing,
    unavailable,
)
from transfercli.io.addresses import is_loopback, scheme_of, without_secrets

MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_WITHOUT_HEAD = (400, 401, 403, 405, 501)  # answers to HEAD of servers that may answer GET, as for signed addresses
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class HttpStore:
    """Web servers. An address keeps its scheme through redirects: https never leads to http."""

    def __init__(self) -> None:
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        self._settings: dict[str, Any] = {
            "timeout": timeout,
            "retries": False,
            "maxsize": 32,
            "ssl_context": ssl.create_default_context(),
        }
        self._pools: dict[str, urllib3.PoolManager] = {}

    def files_below(self, address: str) -> Iterator[RemoteFile]:
        """Raise `RemoteError`: HTTP has no listing of folders."""
        raise RemoteError(
            f"{without_secrets(address)}: a folder behind https cannot be listed",
            "give a table (.csv, .jsonl) whose paths are relative to it or addresses, or .tar shards"
            + (", without the query of the address" if "?" in address else ""),
        )

    def named_in(self, address: str, names: Collection[str]) -> Iterator[RemoteFile]:
        """Yield nothing: HTTP has no listing of folders."""
        yield from ()

    def file_at(self, address: str) -> RemoteFile:
        """Return the file at an address."""
        status, headers = self._head(address)
        if status in _WITHOUT_HEAD:
            with self._answer("GET", address, {"Range": "bytes=0-0"}) as answer:
                status, headers = answer.status, dict(answer.headers)
        self._check(address, status)
        whole = _RANGE.fullmatch(headers.get("Content-Range", ""))
        length = whole[2] if whole else headers.get("Content-Length", "") if status != 206 else ""
        version = headers.get("ETag") or headers.get("Last-Modified") or ""
        return RemoteFile(without_secrets(address), int(length) if length.isdecimal() else -1, version)

    def _head(self, address: str) -> tuple[int, dict[str, str]]:
        with self._answer("HEAD", address, {}) as answer:
            return answer.status, dict(answer.headers)

    def read(self, address: str, start: int, size: int) -> Iterator[bytes]:
        """Yield the content of a file from byte `start` on, with one request; a server without ranges begins at 0."""
        with self._answer("GET", address, {"Range": f"bytes={start}-"} if start else {}) as answer:
            if answer.status == 416:  # the range begins at the end of the file
                return
            self._check(address, answer.status)
            skipped = start if answer.status == 200 else 0
            try:
                while part := answer.read(PART_BYTES):
                    if len(part) > skipped:
                        yield part[skipped:]
                    skipped = max(0, skipped - len(part))
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise unavailable(address, _text(error)) from None

    @contextlib.contextmanager
    def _answer(self, method: str, address: str, headers: dict[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        """Yield the answer to a request, of the last of at most `MAX_REDIRECTS` redirects."""
        place = address
        for _ in range(MAX_REDIRECTS + 1):
            try:
                answer = self._pool(place).request(
                    method,
                    place,
                    headers={"Accept-Encoding": "identity", **headers},
                    redirect=False,
                    preload_content=False,
                    decode_content=False,
                )
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                raise unavailable(address, _text(error)) from None
            target = answer.headers.get("Location")
            if answer.status not in _REDIRECTS or not target:
                try:
                    yield answer
                finally:
                    if method == "HEAD":  # there is no content, and the connection is used again
                        answer.drain_conn()
                    answer.close()
                return
            answer.close()
            place = urljoin(place, target)
            self._check_redirect(address, place)
        raise RemoteError(f"{without_secrets(address)}: more than {MAX_REDIRECTS} redirects", "give the last address")

    @staticmethod
    def _check_redirect(address: str, place: str) -> None:
        """Raise `RemoteError` unless a redirect leads from https to https, or stays on this machine."""
        own = scheme_of(address) == "http" and scheme_of(place) == "http" and is_loopback(place)
        if not (own or scheme_of(place) == "https"):
            raise RemoteError(
                f"{without_secrets(address)}: the server redirects to {without_secrets(place)}, which is not https",
                "give the address of the file itself",
            )

    @staticmethod
    def _check(address: str, status: int) -> None:
        if status in (401, 403):
            raise denied(address)
        if status in (404, 410):
            raise missing(address)
        if status >= 500 or status in (408, 429):
            raise unavailable(address, f"it answers with status {status}")
        if status not in (200, 206):
            raise RemoteError(f"{without_secrets(address)}: the server answers with status {status}", "check it")

    def _pool(self, address: str) -> urllib3.PoolManager:
        """Return the connections for an address: through the proxy of the environment if there is one."""
        parts = urlsplit(address)
        proxy = urllib.request.getproxies().get(parts.scheme, "")
        if not proxy or is_loopback(address) or urllib.request.proxy_bypass(parts.hostname or ""):
            proxy = ""
        if proxy not in self._pools:
            make = urllib3.ProxyManager(proxy, **self._settings) if proxy else urllib3.PoolManager(**self._settings)
            self._pools.setdefault(proxy, make)
        return self._pools[proxy]


def _text(error: Exception) -> str:
    """Return the cause of an error in words; the message of urllib3 itself names objects and addresses."""
    text = str(error)
    refused = isinstance(error, urllib3.exceptions.NewConnectionError)  # which urllib3 counts among the time-outs
    if isinstance(error, urllib3.exceptions.TimeoutError) and not refused:
        return f"no answer within {READ_SECONDS} seconds"
    return text.rpartition(": ")[2] or type(error).__name__
