"""Models of the engine without a server before them, for tests."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.listener import Listener
from transfercli.workflows.serve.hosting import Models
from transfercli.workflows.serve.observer import Observer
from transfercli.workflows.serve.targets import parse_targets

PATIENCE = 120.0  # seconds, until a test that waits for something fails


class Events(Observer):
    """Observer that keeps what it receives."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.swaps: list[str] = []
        self.ends: list[str] = []
        self.unlogged = 0  # images

    def batch(self, model: str, images: int, seconds: float) -> None:
        self.batches.append(images)

    def swap(self, model: str, outcome: str) -> None:
        self.swaps.append(outcome)

    def ended(self, process: str) -> None:
        self.ends.append(process)

    def left_out(self, model: str, images: int) -> None:
        self.unlogged += images


@asynccontextmanager
async def hosted(
    runs: Path, *texts: str, export: str | None = None, reporter: Listener | None = None, **options: Any
) -> AsyncIterator[tuple[Models, Events]]:
    """Yield the models of NAME=TARGET texts, once the first start of each has ended, and what they report."""
    targets = parse_targets(texts, runs, export)
    models = Models([(target, target.source()) for target in targets], reporter or Listener(), **options)
    events = Events()
    models.shared.observer = events
    async with models:
        await models.first_outcomes()
        yield models, events


async def until(condition: Callable[[], Any]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


def kill(module: str, number: int = signal.SIGKILL) -> int:
    """Kill all child processes of this process that run a module, or send them another signal; return their number."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    killed = [int(child) for child in children if module in Path(f"/proc/{child}/cmdline").read_text()]
    for child in killed:
        os.kill(child, number)
    return len(killed)
