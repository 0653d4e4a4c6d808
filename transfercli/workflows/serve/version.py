"""Version of a served model: one process, and the requests that it answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from transfercli.data.image import Geometry
from transfercli.errors import TransferError
from transfercli.workflows.predict.loadable import ModelOutput
from transfercli.workflows.predict.predictions import Prediction, predictions_of
from transfercli.workflows.serve.batching import Batcher, Item, Job, Rate, Speed, rows_of
from transfercli.workflows.serve.decoding import Decoders, Queue
from transfercli.workflows.serve.errors import ComputationFailed, NotReady, ServeError
from transfercli.workflows.serve.model_connection import Computed, ModelConnection
from transfercli.workflows.serve.model_process import Greeting
from transfercli.workflows.serve.observer import Observer
from transfercli.workflows.serve.targets import Source

if TYPE_CHECKING:
    from transfercli.workflows.serve.recording import Recorder


class Version:
    """Loaded model that answers requests until it is retired, or until its process ends.

    ended: set to the reason once the process has ended by itself; cancelled if it was closed. recorder: of its answers;
    None for nobody.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        connection: ModelConnection,
        greeting: Greeting,
        decoders: Decoders,
        observer: Observer,
    ) -> None:
        self.name, self.source, self.greeting = name, source, greeting
        self.labels, self.geometry = greeting.labels, Geometry(*greeting.geometry)
        self.ended: asyncio.Future[TransferError] = asyncio.get_running_loop().create_future()
        self.recorder: Recorder | None = None
        self._connection, self._decoders, self._observer = connection, decoders, observer
        self._queue = Queue(self.geometry, self._decoded, self._undecoded)
        speed = Speed(greeting.batch_size, greeting.seconds)
        later = asyncio.get_running_loop().call_later
        self._batcher = Batcher(speed, connection.send, later, lambda: self._queue.coming)
        self._rate = Rate(speed.limit / max(speed.seconds(speed.limit), 1e-6))
        self._jobs: dict[Job, asyncio.Future[None]] = {}
        self.waiting = 0  # images of requests under way
        self._retired = False
        self._closing: asyncio.Task[None] | None = None
        decoders.open(self._queue)
        self._reading = asyncio.create_task(self._read_outputs())

    @property
    def images_per_second(self) -> float:
        return max(self._rate.value, 1e-3)

    async def answer(self, images: Sequence[bytes | np.ndarray], top: int, *, abstain: bool) -> Job:
        """Return a job with the predictions of all images. Raises `ServeError` if the model fails on them."""
        future = asyncio.get_running_loop().create_future()
        job = Job([None] * len(images), top, abstain, partial(_finish, future), len(images))
        job.probabilities = [None] * len(images)
        items = [Item(job, index, content) for index, content in enumerate(images)]
        if self.recorder is not None and self.recorder.keeps_files:
            for item in items:
                item.file = item.content if isinstance(item.content, bytes) else None
        self._jobs[job] = future
        self._count(len(images))
        try:
            self._add(items)
            await future
        finally:
            job.over = True
            del self._jobs[job]
            self._count(-len(images))
            self._close_if_unused()
        return job

    def _count(self, images: int) -> None:
        self.waiting += images
        self._observer.queue(self.name, self.waiting)

    def _add(self, items: Sequence[Item]) -> None:
        """Decode images; an array that has the size of the model's images already needs no worker."""
        encoded: list[Item] = []
        for item in items:
            if isinstance(item.content, np.ndarray) and item.content.shape == self.geometry.shape:
                item.pixels, item.content = item.content, None
            else:
                encoded.append(item)
        if encoded:
            self._decoders.add(self._queue, encoded)
        if len(encoded) < len(items):
            self._batcher.add([item for item in items if item.pixels is not None])

    def _decoded(self, items: Sequence[Item]) -> None:
        self._batcher.add(items)

    def _undecoded(self, item: Item, problem: str) -> None:
        item.job.set(item.index, Prediction("", error=problem))
        self._record_failed(1)
        self._batcher.pump()  # it may have waited for this image

    async def _read_outputs(self) -> None:
        """Answer batch after batch, until the process ends; then fail the requests under way."""
        try:
            async for computed in self._connection.outputs():
                self._take(computed)
        except Exception as error:  # of this program: the version is started again, as after a crash
            asyncio.get_running_loop().call_exception_handler({"message": "bug in the engine", "exception": error})
            self._connection.process.kill()
        reason = await self._connection.death()
        self._decoders.shut(self._queue)
        lost = NotReady("the process of the model ended; it is started again", "try again soon", retry_after=1)
        for job in list(self._jobs):
            self._fail_job(job, lost)
        self._end_recording()
        if not self._retired:
            self.ended.set_result(reason)

    def _take(self, computed: Computed) -> None:
        """Answer the images of a batch; the next batch starts before."""
        busy = self._batcher.has_more
        items, images = self._batcher.take()
        if computed.output is None:
            self._fail(items, ComputationFailed(f"the model failed on these images: {computed.failure}"))
            return
        self._batcher.speed.record(len(items), computed.seconds)
        self._observer.batch(self.name, len(items), computed.seconds)
        self._answer(items, images, computed.output)
        self._rate.record(len(items), time.monotonic(), busy=busy)

    def _answer(self, items: list[Item], images: np.ndarray, output: ModelOutput) -> None:
        """Set the predictions of a batch; the images of requests with the same options are answered together."""
        asked: dict[tuple[int, bool], list[int]] = {}
        for row, item in enumerate(items):
            asked.setdefault((item.job.top, item.job.abstain), []).append(row)
        labels = () if self.greeting.has_numbers else self.labels
        for (top, abstain), rows in asked.items():
            part = output if len(rows) == len(items) else rows_of(output, rows)
            predictions = list(predictions_of(part, len(rows), labels, top, abstain=abstain))
            for row, prediction in zip(rows, predictions, strict=True):
                items[row].job.set(items[row].index, prediction, output.probabilities[row])
        if self.recorder is not None and not self.recorder.record(images, output, [item.file for item in items]):
            self._observer.left_out(self.name, len(items))

    def _fail(self, items: Sequence[Item], error: ServeError) -> None:
        self._record_failed(len(items))
        for job in {item.job for item in items}:
            self._fail_job(job, error)

    def _record_failed(self, images: int) -> None:
        if self.recorder is not None and not self.recorder.failed(images):
            self._observer.left_out(self.name, images)

    def _fail_job(self, job: Job, error: ServeError) -> None:
        job.over = True
        future = self._jobs.get(job)
        if future is not None and not future.done():
            future.set_exception(error)

    def end_if_stuck(self, seconds: float) -> None:
        """Kill the process if it has computed one batch for longer; the version is started again, as after a crash."""
        if self._batcher.computing > seconds:
            self._connection.process.kill()

    def retire(self) -> None:
        """End the process as soon as the requests under way are answered."""
        self._retired = True
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._retired and not self._jobs:
            self._closing = self._closing or asyncio.create_task(self.close())

    async def close(self) -> None:
        """End the process now; `ended` is cancelled once it has ended."""
        self._retired = True
        self._decoders.shut(self._queue)
        self._reading.cancel()
        self._end_recording()
        await self._connection.close()
        self.ended.cancel()

    def _end_recording(self) -> None:
        """Write the last answers in a thread: the end of the event loop waits for it, also if tasks are cancelled."""
        recorder, self.recorder = self.recorder, None
        if recorder is not None:
            asyncio.get_running_loop().run_in_executor(None, recorder.close)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def load(connection: ModelConnection) -> Greeting:
    """Return the facts of a model once it is loaded; end its process if the loading fails or is not waited for."""
    try:
        return await connection.greeting()
    except BaseException:
        await connection.close()
        raise
