"""The uvicorn server of this process: it ends when the command is asked to stop, after the requests under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socket import socket
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from transfercli.reporting import Reporter
from transfercli.web.address import Address, listen
from transfercli.web.connections import Registry, protocol_of
from transfercli.web.limits import Limits, raise_file_limit

if TYPE_CHECKING:
    from starlette.types import ASGIApp

SECONDS_TO_FINISH = 8  # of the requests under way; a stop ends by force after 12
LATEST_CLOSE = 3600  # seconds; the sweep closes what is idle long before
TICKS_A_SWEEP = 10  # of 0.1 seconds


def run_server(
    app: ASGIApp,
    address: Address,
    reporter: Reporter,
    *,
    started: Callable[[Address], None],
    limits: Limits | None = None,
) -> None:
    """Serve until the command is asked to stop, then raise `Interrupted`.

    started: called with the real address as soon as connections are accepted. Raises `UsageError` if the address
    cannot be used.
    """
    listener, real = listen(address)
    registry = Registry(raise_file_limit(limits or Limits()))
    with listener:
        config = uvicorn.Config(
            app,
            http=cast(Any, protocol_of(registry)),
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=LATEST_CLOSE,
            timeout_graceful_shutdown=SECONDS_TO_FINISH,
        )
        server = _Server(config, registry, reporter, lambda: started(real))
        try:
            server.run([listener])
        finally:
            if real.unix is not None:
                real.unix.unlink(missing_ok=True)
    reporter.progress("serve", 0, 0, "requests")  # raises Interrupted


class _Server(uvicorn.Server):
    """Server whose signals the command handles."""

    def __init__(
        self, config: uvicorn.Config, registry: Registry, reporter: Reporter, started: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._registry, self._reporter, self._announce = registry, reporter, started

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._announce()

    async def on_tick(self, counter: int) -> bool:
        """Return True if the server is to stop."""
        await asyncio.sleep(0)
        if counter % TICKS_A_SWEEP == 0:
            self._registry.sweep(asyncio.get_running_loop().time())
        return await super().on_tick(counter) or bool(self._reporter.stop_signal())
