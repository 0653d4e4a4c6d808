"""The store of each scheme of addresses, opened once in a process."""

from __future__ import annotations

from functools import cache

from transfercli.data.remote.fsspec_store import FsspecStore
from transfercli.data.remote.http_store import HttpStore
from transfercli.data.remote.store import Store
from transfercli.io.addresses import scheme_of


def store_of(address: str) -> Store:
    """Return the store of an address. Raises `DataError` if the library for its scheme is not installed."""
    return _store(scheme_of(address))


@cache
def _store(scheme: str) -> Store:
    return HttpStore() if scheme in ("http", "https") else FsspecStore(scheme)
