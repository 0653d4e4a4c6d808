"""An S3 server with digits, for the tests of remote data."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.object_server import ObjectServer, object_server
from transfercli.data.remote import stores, versions


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    with object_server(monkeypatch.setenv) as running:
        stores._store.cache_clear()
        versions.mirror_at.cache_clear()
        versions.refreshed()
        yield running
        stores._store.cache_clear()
