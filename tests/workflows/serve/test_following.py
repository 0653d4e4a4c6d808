"""Following of a link: no promotion is missed, also if storage fails for a moment."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.workflows.serve.hosted import until
from transfercli.errors import TransferError
from transfercli.workflows.serve.following import follow
from transfercli.workflows.serve.targets import Source

NEW = Source(Path("runs/digits/new"), "new")


@dataclass
class Link:
    """Link whose reading ends with each of some outcomes, the last one again and again."""

    outcomes: list[Exception | Source]
    glances: list[tuple[object, ...]] = field(default_factory=lambda: [("same",)])

    def glance(self) -> tuple[object, ...]:
        return self.glances.pop(0) if len(self.glances) > 1 else self.glances[0]

    def source(self) -> Source:
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def followed(link: Link) -> tuple[list[Source], list[tuple[str, str]]]:
    """Return the sources and the errors that following reports until it has the new source."""
    sources: list[Source] = []
    errors: list[tuple[str, str]] = []

    def failed(error: TransferError, run: str) -> None:
        errors.append((error.message, run))

    async def run() -> None:
        target: Any = link
        following = asyncio.create_task(follow(target, sources.append, failed, seconds=0.001))
        await until(lambda: NEW in sources)
        following.cancel()

    asyncio.run(run())
    return sources, errors


def test_a_link_that_moved_before_the_first_look_is_followed() -> None:
    assert followed(Link([NEW])) == ([NEW], [])


def test_a_link_that_could_not_be_read_is_read_again_and_said_once() -> None:
    failing = OSError(5, "Input/output error")
    sources, errors = followed(Link([failing, failing, KeyError("status"), NEW]))
    assert sources == [NEW]
    assert len(errors) == 2
    assert "Input/output error" in errors[0][0]
    assert [run for _, run in errors] == ["same", "same"]
