"""Service behind all protocols: what requests wait for."""

from __future__ import annotations

import asyncio
import threading

from transfercli.web.address import Address
from transfercli.workflows.serve.metrics import Metrics
from transfercli.workflows.serve.service import LONG, Service, Settings


def test_a_short_body_does_not_wait_for_a_long_one() -> None:
    """Lists of 60 MB take many seconds to parse; a photo in base64 is parsed meanwhile."""
    goes_on = threading.Event()

    async def run() -> int:
        service = Service({}, Settings(Address()), Metrics())
        long = asyncio.create_task(service.parsed(lambda _: goes_on.wait(), bytes(LONG + 1)))
        await asyncio.sleep(0)
        found: int = await service.parsed(len, bytes(LONG))
        assert not long.done()
        goes_on.set()
        await long
        service.close()
        return found

    assert asyncio.run(run()) == LONG
