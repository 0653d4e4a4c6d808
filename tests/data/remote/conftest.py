"""An S3 server with digits, for the tests of remote data."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.object_server import ObjectServer, fresh_object_server
from tests.web_server import WebServer, web_server
from transfercli.data.remote import fetch, retries, stores, versions


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    with fresh_object_server(monkeypatch.setenv) as running:
        yield running


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setattr(fetch, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(retries, "PAUSES", (0.0, 0.0))
    with web_server() as running:
        stores._store.cache_clear()
        versions.mirror_at.cache_clear()
        versions.refreshed()
        yield running
