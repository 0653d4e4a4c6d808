"""Connection to the process of a model: start it, send batches, receive their outputs, notice its end."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.errors import ArtefactError, OutOfSpaceError, TransferError, child_ran_out_of_space, from_facts
from transfercli.workflows.predict.loadable import ModelOutput
from transfercli.workflows.serve.child import start_child
from transfercli.workflows.serve.model_process import COUNT, FEATURES, Greeting

MODULE = "transfercli.workflows.serve.model_process"
BUFFER = 64 * 2**20  # bytes of the longest line that is read
LAST_LINES = 20  # of stderr, for the reason why a process ended
EXIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Computed:
    """Output of a batch. seconds: of its forward pass. failure: why there is no output, or ""."""

    output: ModelOutput | None
    seconds: float = 0.0
    failure: str = ""


class ModelConnection:
    """Connection to a process that loads and computes one model; create it before or in the event loop.

    features: True if its outputs are to have features, if the model has any.
    """

    def __init__(self, location: Path, *, features: bool = False) -> None:
        self.process, self._socket = start_child(
            MODULE, [os.fspath(location.absolute()), *[FEATURES] * features], subprocess.PIPE
        )
        self._lines = deque[str](maxlen=LAST_LINES)
        self._errors: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def greeting(self) -> Greeting:
        """Connect, wait until the model is loaded, and return its facts. Raises `TransferError` if it cannot be."""
        self._errors = asyncio.create_task(self._read_errors())
        self._reader, self._writer = await asyncio.open_connection(sock=self._socket, limit=BUFFER)
        try:
            facts = json.loads(await self._line())
        except (OSError, EOFError, ValueError):
            raise await self.death() from None
        if "error" in facts:
            raise from_facts(facts["error"])
        return Greeting.from_json(facts)

    def send(self, images: np.ndarray) -> None:
        """Send a batch, uint8 [N, H, W, 3]; its output is the next of `outputs`."""
        assert self._writer is not None
        self._writer.write(COUNT.pack(len(images)))
        self._writer.write(images.data.cast("B"))

    async def outputs(self) -> AsyncIterator[Computed]:
        """Yield the output of each batch, in order, until the process ends."""
        with suppress(OSError, EOFError, ValueError):
            while True:
                facts = json.loads(await self._line())
                if "failed" in facts:
                    yield Computed(None, failure=facts["failed"])
                    continue
                content = await self._reader.readexactly(facts["bytes"])
                yield Computed(_output(facts["arrays"], content), facts["seconds"])

    async def death(self) -> TransferError:
        """Return why the process ended, once it has."""
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(self.process.wait), EXIT_SECONDS)
        await self.close()
        code, text = self.process.returncode, "\n".join(self._lines)
        if child_ran_out_of_space(code, text):
            return OutOfSpaceError("its process was killed, most likely because memory ran out", "free some")
        last = next((f": {line.strip()[:200]}" for line in reversed(self._lines) if line.strip()), "")
        return ArtefactError(f"its process ended unexpectedly (exit status {code}){last}")

    async def close(self) -> None:
        """End the process, and wait until it has ended."""
        self.process.kill()
        await asyncio.to_thread(self.process.wait)
        if self._writer is None:
            self._socket.close()
        else:
            self._writer.transport.abort()  # what was not sent would keep it open
        if self._errors is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._errors, 1)
        elif self.process.stderr is not None:
            self.process.stderr.close()

    async def _line(self) -> bytes:
        line = await self._reader.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        return line

    async def _read_errors(self) -> None:
        """Keep the last lines of stderr."""
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, self.process.stderr)
        try:
            while block := await reader.read(1 << 16):
                self._lines += block.decode(errors="replace").splitlines()
        finally:
            transport.close()


def _output(described: list[Any], content: bytes) -> ModelOutput:
    """Return the output whose arrays are named and described as (name, type, shape), one after another."""
    arrays, at = {}, 0
    for name, kind, shape in described:
        dtype = np.dtype(kind)
        count = int(np.prod(shape))
        arrays[name] = np.frombuffer(content, dtype, count, at).reshape(shape)
        at += count * dtype.itemsize
    return ModelOutput(**arrays)
