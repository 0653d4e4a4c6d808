"""Agreement of the processes that train together: the first one decides, and the others get what it decided.

Values travel as JSON and files as bytes through the key-value store of JAX's coordination service, so a wait ends as
soon as another process reports its error, and a request to stop is served. All processes call the same functions in the
same order; calls are counted, and a value is found by its number.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any, TypeVar

import numpy as np

from transfercli.errors import TransferError, as_facts, from_facts
from transfercli.training.distribution.processes import processes

T = TypeVar("T")

POLL_MS = 250  # of a wait, after which errors of others and requests to stop are looked for
CHUNK = 1 << 20  # bytes of a value in the store
_FAILED, _SENT = "transfercli/failed/", "transfercli/sent/"
_number = count()


def from_chief(decide: Callable[[], T], on_wait: Callable[[], None] = lambda: None) -> T:
    """Return what `decide` returns in the first process, which alone calls it; a value that JSON can hold.

    on_wait: called about four times a second while waiting; may raise to stop.
    """
    if processes().count == 1:
        return decide()
    key = f"{_SENT}{next(_number)}"
    if not processes().is_chief:
        received: T = json.loads(_read(key, on_wait))
        return received
    value = decide()
    _store().key_value_set_bytes(key, json.dumps(value).encode())
    return value


def bytes_from_chief(content: bytes | None, on_wait: Callable[[], None] = lambda: None) -> bytes:
    """Return `content` of the first process; the others give None."""
    if processes().count == 1:
        return content or b""
    key = f"{_SENT}{next(_number)}"
    if processes().is_chief:
        assert content is not None
        for start in range(0, len(content), CHUNK):
            _store().key_value_set_bytes(f"{key}/{start // CHUNK}", content[start : start + CHUNK])
        _store().key_value_set_bytes(key, str(len(content)).encode())
    size = int(_read(key, on_wait))
    parts = [] if processes().is_chief else [_read(f"{key}/{part}", on_wait) for part in range(-(-size // CHUNK))]
    all_of(None, on_wait)
    if processes().is_chief:
        _store().key_value_delete(f"{key}/")
    return content if content is not None else b"".join(parts)


def all_of(value: T, on_wait: Callable[[], None] = lambda: None) -> list[T]:
    """Return the values of all processes in the order of their ranks; values that JSON can hold.

    Nobody returns before everybody has called it, so it is a meeting point, too.
    """
    place = processes()
    if place.count == 1:
        return [value]
    key = f"{_SENT}{next(_number)}"
    _store().key_value_set_bytes(f"{key}/{place.rank}", json.dumps(value).encode())
    return [json.loads(_read(f"{key}/{rank}", on_wait)) for rank in range(place.count)]


def any_of(mask: np.ndarray, on_wait: Callable[[], None] = lambda: None) -> np.ndarray:
    """Return True for each element that is True in any process. mask: bool [N], of the same N."""
    if processes().count == 1:
        return mask
    texts = all_of(base64.b64encode(np.packbits(mask).tobytes()).decode() if mask.any() else "", on_wait)
    masks = [np.frombuffer(base64.b64decode(text), np.uint8) for text in texts if text]
    return np.unpackbits(np.bitwise_or.reduce(masks), count=len(mask)).astype(bool) if masks else mask


def first_text(text: str, on_wait: Callable[[], None] = lambda: None) -> str:
    """Return the text of the first process that has one, such as a reason not to do something; "" if none has."""
    return next(filter(None, all_of(text, on_wait)), "")


def meet(on_wait: Callable[[], None] = lambda: None) -> None:
    """Wait until all processes are here."""
    all_of(None, on_wait)


@contextmanager
def failing_together() -> Iterator[None]:
    """Report an error raised inside to the other processes, whose next wait raises it, too."""
    try:
        yield
    except TransferError as error:
        report_failure(error)
        raise


def report_failure(error: TransferError) -> None:
    """Report an error of this process to the others, unless it is theirs."""
    if processes().count == 1 or getattr(error, "of_peer", False):
        return
    with suppress(RuntimeError):  # the service is gone
        _store().key_value_set_bytes(f"{_FAILED}{processes().rank}", json.dumps(as_facts(error)).encode())


def peer_failure() -> TransferError | None:
    """Return the error that another process has reported, or None."""
    if processes().count == 1:
        return None
    entries = dict(_store().key_value_dir_get_bytes(_FAILED))
    entries.pop(f"{_FAILED}{processes().rank}", None)
    if not entries:
        return None
    error = from_facts(json.loads(min(entries.items())[1]))
    error.of_peer = True  # type: ignore[attr-defined]
    return error


def _read(key: str, on_wait: Callable[[], None]) -> bytes:
    """Return the value of a key as soon as it is there. Raises the error that another process reports meanwhile."""
    while True:
        try:
            return bytes(_store().blocking_key_value_get_bytes(key, POLL_MS))
        except RuntimeError as error:  # XlaRuntimeError
            if "DEADLINE_EXCEEDED" not in str(error):
                raise
        if (failure := peer_failure()) is not None:
            raise failure
        on_wait()


def _store() -> Any:
    """Return the client of JAX's coordination service; JAX has no public name for it."""
    from jax._src import distributed

    return distributed.global_state.client
