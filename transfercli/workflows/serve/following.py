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
    failed: Callable[[TransferError, str], None],
    seconds: float = LOOK_SECONDS,
) -> None:
    """Call `changed` with the model that a link means, each time the link or what it points to was changed.

    The first time is at the start: the link may have moved since it was read for the command. failed: called if it
    points to no model, with the reason and the run that it points to ("" if there is none), and not again for the same
    reason; it is read again each time, as storage may have failed for a moment. The link is read in a thread, because
    storage may hang.
    """
    seen: object = None
    problem = ""
    while True:
        glance = await asyncio.to_thread(target.glance)
        if glance != seen or problem:
            try:
                changed(await asyncio.to_thread(target.source))
                problem = ""
            except Exception as error:  # whatever its files hold, a later promotion is noticed
                reason = error if isinstance(error, TransferError) else ArtefactError(_unreadable(error))
                if glance != seen or reason.message != problem:
                    failed(reason, str(glance[0]) if glance else "")
                problem = reason.message
            seen = glance
        await asyncio.sleep(seconds)


def _unreadable(error: Exception) -> str:
    return f"it cannot be read: {first_line(error)}"
