"""Decoding of the images of requests in worker processes: a hostile image costs itself, never the server.

Images wait in one queue a model, and the models take turns. A worker that is idle gets several small images at once, as
the hand-over costs more than decoding one.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from transfercli.data.decoding.worker_answer import ANSWER
from transfercli.data.image import Geometry
from transfercli.workflows.serve.batching import Item
from transfercli.workflows.serve.child import start_child

MODULE = "transfercli.data.decoding.content_worker"
CHUNK = 16  # images of a request to a worker
CHUNK_BYTES = 1 << 20  # more than this is not handed over at once
IMAGE_SECONDS = 10.0  # of decoding one image
RESTART_SECONDS = 1.0  # before a worker that could not start is started again
BUFFER = 16 * 2**20
CRASHED = "unreadable: crashes the decoder"
TOO_SLOW = f"unreadable: takes more than {IMAGE_SECONDS:g} s to decode"

Decode = Callable[[Sequence[Item]], None]  # called with items that have pixels


@dataclass(eq=False, slots=True)
class Waiting:
    """Image that waits for a worker. tries: number of workers that ended with it; alone: to be sent alone."""

    item: Item
    alone: bool = False
    tries: int = 0

    @property
    def size(self) -> int | list[int]:
        """Bytes of the encoded image, or the shape of an array."""
        content = self.item.content
        return list(content.shape) if isinstance(content, np.ndarray) else len(content or b"")

    @property
    def content(self) -> bytes | memoryview:
        content = self.item.content
        if isinstance(content, np.ndarray):
            return np.ascontiguousarray(content).data.cast("B") if content.size else b""
        return content or b""


class Queue:
    """Images of one model that wait for a worker.

    decoded: called with images that have pixels. failed: called with an image and the reason why it has none.
    """

    def __init__(self, geometry: Geometry, decoded: Decode, failed: Callable[[Item, str], None]) -> None:
        self.geometry, self.decoded, self.failed = geometry, decoded, failed
        self.waiting: deque[Waiting] = deque()
        self.working = 0  # images that workers have

    @property
    def coming(self) -> int:
        """Number of images that wait for a worker or are with one."""
        return len(self.waiting) + self.working

    def take(self, most: int) -> list[Waiting]:
        """Return the next images, at most `most` and `CHUNK_BYTES`; those that nobody waits for are dropped."""
        taken: list[Waiting] = []
        size = 0
        while self.waiting and len(taken) < most:
            one = self.waiting[0]
            if one.item.job.over:
                self.waiting.popleft()
                continue
            size += len(one.content)
            if taken and (one.alone or size > CHUNK_BYTES):
                break
            taken.append(self.waiting.popleft())
            if one.alone:
                break
        return taken


class Decoders:
    """Pool of decoding workers, used in one event loop.

    seconds: time limit of an image.
    """

    def __init__(self, workers: int, seconds: float = IMAGE_SECONDS) -> None:
        self.workers, self.seconds = workers, seconds
        self._queues: deque[Queue] = deque()  # whose turn it is comes first
        self._idle: list[_Worker] = []
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, ended: Callable[[], None] = lambda: None) -> None:
        """Start the workers; images may be added at once. ended: called each time a worker ended by itself."""
        self._ended = ended
        self._tasks = [asyncio.create_task(self._keep_worker()) for _ in range(self.workers)]

    async def close(self) -> None:
        """End all workers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def open(self, queue: Queue) -> None:
        """Let the images of a queue be decoded."""
        self._queues.append(queue)

    def shut(self, queue: Queue) -> None:
        """Decode no more images of a queue."""
        queue.waiting.clear()
        with suppress(ValueError):
            self._queues.remove(queue)

    def add(self, queue: Queue, items: Sequence[Item]) -> None:
        """Decode images, and call the queue's functions with them."""
        queue.waiting.extend(map(Waiting, items))
        self.dispatch()

    def dispatch(self) -> None:
        """Hand waiting images to idle workers, in turns of the models."""
        while self._idle:
            chosen: list[Waiting] = []
            for _ in range(len(self._queues)):
                queue = self._queues[0]
                self._queues.rotate(-1)
                share = -(-len(queue.waiting) // max(1, len(self._idle)))  # all idle workers get some
                if chosen := queue.take(min(CHUNK, share)):
                    self._idle.pop().begin(queue, chosen)
                    break
            if not chosen:
                return

    async def _keep_worker(self) -> None:
        """Run a worker; start another one whenever it ends."""
        while True:
            try:
                worker = _Worker(self)
            except OSError:  # too many processes or files: later there may be room
                await asyncio.sleep(RESTART_SECONDS)
                continue
            try:
                if not await worker.run():
                    await asyncio.sleep(RESTART_SECONDS)
                self._ended()
            except Exception as error:  # of this program: the images of the worker get no answer, the others do
                context = {"message": "bug in the engine", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)
            finally:
                worker.end()

    def idle(self, worker: _Worker) -> None:
        self._idle.append(worker)
        self.dispatch()

    def gone(self, worker: _Worker, queue: Queue | None, left: list[Waiting], *, late: bool) -> None:
        """Send the images of a worker that has ended to others, one by one; give up on one that ends a second.

        late: True if it ended because an image took too long.
        """
        with suppress(ValueError):
            self._idle.remove(worker)
        if queue is None:
            return
        again = []
        for one in left:
            one.tries += one.alone or len(left) == 1
            if one.tries > 1 or (late and one.tries):
                queue.failed(one.item, TOO_SLOW if late else CRASHED)
            else:
                one.alone = True
                again.append(one)
        queue.waiting.extendleft(reversed(again))
        self.dispatch()


class _Worker:
    """Worker process, and the request that it works on."""

    def __init__(self, pool: Decoders) -> None:
        self.pool = pool
        self._queue: Queue | None = None
        self._left: deque[Waiting] = deque()
        self._writer: asyncio.StreamWriter | None = None
        self.process, self._socket = start_child(MODULE, [str(pool.seconds)])

    async def run(self) -> bool:
        """Answer requests until the process ends; return False if it ended before it was ready."""
        reader, self._writer = await asyncio.open_connection(sock=self._socket, limit=BUFFER)
        ready = False
        with suppress(OSError, EOFError):
            await reader.readexactly(1)
            ready = True
            self.pool.idle(self)
            while True:
                await self._receive(reader)
        late = await asyncio.to_thread(self.process.wait) == -signal.SIGALRM
        left, self._left = list(self._left), deque()
        if self._queue is not None:
            self._queue.working -= len(left)
        self.pool.gone(self, self._queue, left, late=late)
        return ready

    def begin(self, queue: Queue, images: list[Waiting]) -> None:
        """Send the images of a request."""
        assert self._writer is not None
        self._queue, self._left = queue, deque(images)
        queue.working += len(images)
        head: dict[str, Any] = {"geometry": astuple(queue.geometry), "images": [one.size for one in images]}
        self._writer.writelines([json.dumps(head).encode() + b"\n", *(one.content for one in images)])

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        """Receive the answers to some images: those that have arrived at the same time are handed on together."""
        decoded: list[Item] = []
        head = await reader.readexactly(ANSWER.size)
        while True:
            has_pixels, size = ANSWER.unpack(head)
            payload = await reader.readexactly(size)
            queue = self._queue
            assert queue is not None
            item = self._left.popleft().item
            queue.working -= 1
            item.content = None
            if has_pixels:
                item.pixels = np.frombuffer(payload, np.uint8).reshape(queue.geometry.shape)
                decoded.append(item)
            else:
                queue.failed(item, payload.decode(errors="replace"))
            if not self._left or not _has_arrived(reader):
                break
            head = await reader.readexactly(ANSWER.size)
        if not self._left:
            self.pool.idle(self)
        if decoded:
            queue.decoded(decoded)

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        if self._writer is None:
            self._socket.close()
        else:
            self._writer.transport.abort()  # what was not sent would keep it open
        self.process.wait()


def _has_arrived(reader: asyncio.StreamReader) -> bool:
    """Return True if the head of another answer can be read without waiting."""
    return len(reader._buffer) >= ANSWER.size  # type: ignore[attr-defined]
