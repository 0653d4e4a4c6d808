"""Repeated calls of a store, with pauses that grow and an end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from transfercli.data.remote.store import RemoteError

T = TypeVar("T")

PAUSES = (0.2, 1.0, 3.0)  # seconds before each further try


def with_retries(call: Callable[[], T]) -> T:
    """Return the result of a call that is tried again after failures that may pass. Raises the last `RemoteError`."""
    for pause in PAUSES:
        try:
            return call()
        except RemoteError as error:
            if not error.may_pass:
                raise
        time.sleep(pause)
    return call()
