"""Following of links: a promotion is noticed within about a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from transfercli.errors import ArtefactError, TransferError
from transfercli.text import first_line
from transfercli.workflows.serve.targets import Source, Target

LOOK_SECONDS = 1.0


async def follow(
    target: Target,
    changed: Callable[[Source], None],
    failed: Callable[[TransferError], None],
    seconds: float = LOOK_SECONDS,
) -> None:
    """Call `changed` with the model that a link means, each time the link or what it points to was changed.

    failed: called if it points to no model. The link is read in a thread, because storage may hang.
    """
    seen = await asyncio.to_thread(target.glance)
    while True:
        await asyncio.sleep(seconds)
        glance = await asyncio.to_thread(target.glance)
        if glance == seen:
            continue
        seen = glance
        try:
            changed(await asyncio.to_thread(target.source))
        except TransferError as error:
            failed(error)
        except (OSError, ValueError) as error:
            failed(ArtefactError(f"it cannot be read: {first_line(error)}"))
