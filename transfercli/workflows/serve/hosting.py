"""Served models: each answers in its newest version that could be loaded, and is started again after a crash."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from transfercli.data.image import Geometry
from transfercli.errors import ArtefactError, TransferError
from transfercli.io.cores import usable_cores
from transfercli.reporting import Reporter
from transfercli.text import first_line
from transfercli.workflows.predict.predictions import DEFAULT_TOP, Prediction
from transfercli.workflows.serve.decoding import Decoders
from transfercli.workflows.serve.defaults import QUEUE_IMAGES, SECONDS
from transfercli.workflows.serve.errors import NotReady, Overloaded, TimedOut
from transfercli.workflows.serve.following import follow
from transfercli.workflows.serve.model_connection import ModelConnection
from transfercli.workflows.serve.model_process import Greeting
from transfercli.workflows.serve.observer import DONE, REFUSED, Observer
from transfercli.workflows.serve.targets import Source, Target
from transfercli.workflows.serve.version import Version, load

if TYPE_CHECKING:
    from transfercli.workflows.serve.recording import Recorder, Recording

LOADING, READY, FAILED = "loading", "ready", "failed"
FIRST_RETRY, LAST_RETRY = 0.5, 60.0  # seconds between two starts of a model that fails, doubled each time
STUCK_SECONDS, STUCK_DEADLINES = 60.0, 2.0  # a batch that takes longer than both never ends: of a runtime that hangs
HEALTHY_SECONDS = 60.0  # after which a crash counts as the first again


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """Options of a request. top: number of classes per image. abstain: True to say from what the model abstains.

    deadline: seconds after which nobody waits for the answer.
    """

    top: int = DEFAULT_TOP
    abstain: bool = True
    deadline: float = SECONDS


class Answers(list[Prediction]):
    """Predictions of a request, all of one version of the model.

    version, labels, several, has_numbers: of the model that answered, which may be exchanged meanwhile. probabilities:
    float32 [C] of each image, or its number [1]; None for an image that cannot be read.
    """

    def __init__(self, predictions: Sequence[Prediction], version: Version, rows: Sequence[np.ndarray | None]) -> None:
        super().__init__(predictions)
        self.version, self.labels, self.probabilities = version.source.version, version.labels, rows
        self.several, self.has_numbers = version.greeting.several, version.greeting.has_numbers


@dataclass
class Surroundings:
    """Things that all models of a server share. queue_images: most images that may wait for one model.

    recording: options of the answer log; None if nothing is recorded.
    """

    reporter: Reporter
    decoders: Decoders
    queue_images: int
    observer: Observer = field(default_factory=Observer)
    recording: Recording | None = None


class ServedModel:
    """Model under one name. Its version may change between two requests, and never within one."""

    def __init__(self, target: Target, source: Source, shared: Surroundings) -> None:
        self.name, self._target, self._shared = target.name, target, shared
        self._wanted = self._good = source
        self._current: Version | None = None
        self._versions: set[Version] = set()  # whose process runs: the current one, and those that end
        self._failures: dict[Source, tuple[int, float]] = {}  # number of failed starts, and the time of the next
        self._reason = self._refused = ""  # refused: the version that is counted as such, once
        self._starting: ModelConnection | None = self._connect(source)
        self._changed = asyncio.Event()
        self.first_outcome: asyncio.Future[TransferError | None] | None = None

    def _connect(self, source: Source) -> ModelConnection:
        """Start the process of a source; its output has features if they are recorded."""
        return ModelConnection(source.location, features=self._shared.recording is not None)

    def kill(self) -> None:
        """End the process that was started first, if `run` was not."""
        if self._starting is not None:
            self._starting.process.kill()
            self._starting.process.wait()

    # -- facts

    @property
    def state(self) -> str:
        """`ready`, `loading`, or `failed` if the last start failed and no version answers."""
        return READY if self._current is not None else FAILED if self._reason else LOADING

    @property
    def reason(self) -> str:
        """Reason why the version that the target names could not be loaded; "" if it could."""
        return self._reason

    @property
    def version(self) -> str:
        return (self._current.source if self._current else self._wanted).version

    @property
    def labels(self) -> tuple[str, ...]:
        return self._current.labels if self._current else ()

    @property
    def geometry(self) -> Geometry:
        """Geometry of the images. Raises `NotReady` while no version is loaded."""
        return self._ready_version().geometry

    @property
    def several(self) -> bool:
        return self._current is not None and self._current.greeting.several

    @property
    def has_numbers(self) -> bool:
        return self._current is not None and self._current.greeting.has_numbers

    # -- answers

    async def answer(self, images: Sequence[bytes | np.ndarray], options: AnswerOptions) -> Answers:
        """Return the predictions of encoded images, or of arrays uint8 [H, W, 3]; `error` is set for an unreadable one.

        Raises `Overloaded`, `NotReady`, `TimedOut` or `ComputationFailed`.
        """
        version = self._ready_version()
        if not images:
            return Answers([], version, [])
        waiting = version.waiting
        if waiting and waiting + len(images) > self._shared.queue_images:
            seconds = max(1, math.ceil(waiting / version.images_per_second))
            raise Overloaded(f"{waiting} images wait for {self.name} already", "try again later", retry_after=seconds)
        try:
            async with asyncio.timeout(options.deadline):
                job = await version.answer(images, options.top, abstain=options.abstain)
        except TimeoutError:
            version.end_if_stuck(max(STUCK_SECONDS, STUCK_DEADLINES * options.deadline))
            raise TimedOut(f"{self.name} did not answer within {options.deadline:g} s") from None
        return Answers([one for one in job.predictions if one is not None], version, job.probabilities)

    def _ready_version(self) -> Version:
        if self._current is not None:
            return self._current
        if self._reason:
            _, due = self._failures.get(self._wanted, (0, 0.0))
            wait = max(1, math.ceil(due - asyncio.get_running_loop().time()))
            raise NotReady(f"{self.name} could not be loaded", "the log of the server says why", retry_after=wait)
        raise NotReady(f"{self.name} is being loaded", "try again in a few seconds", retry_after=2)

    # -- versions

    async def run(self) -> None:
        """Keep the newest version running that can be loaded, until cancelled."""
        following = asyncio.create_task(self._follow()) if self._target.is_followed else None
        try:
            while True:
                if (source := self._next_source()) is not None:
                    await self._start(source)
                else:
                    await self._pause()
        finally:
            if following is not None:
                following.cancel()
            if self._starting is not None:
                await self._starting.close()
            await asyncio.gather(*(version.close() for version in self._versions), return_exceptions=True)

    def _next_source(self) -> Source | None:
        """Return what to load now: the wanted source, or the last good one if none answers; None if nothing is due."""
        now = asyncio.get_running_loop().time()
        current = self._current.source if self._current else None
        for source in (self._wanted, self._good):
            if current == source or (source is self._good and current is not None):
                return None
            if self._failures.get(source, (0, 0.0))[1] <= now:
                return source
        return None

    async def _start(self, source: Source) -> None:
        """Load a version beside the one that answers, and let it answer from now on."""
        try:
            connection, self._starting = self._starting or self._connect(source), None
            greeting = await load(connection)
            recorder = await self._recorder(source, connection, greeting)
        except TransferError as error:
            self._refuse(source, error)
            return
        except Exception as error:  # of the system, as too many processes: the model is tried again
            self._refuse(source, ArtefactError(f"it cannot be started: {first_line(error)}"))
            return
        shared = self._shared
        version = Version(self.name, source, connection, greeting, shared.decoders, shared.observer)
        version.recorder = recorder
        before, self._current, self._good, self._reason = self._current, version, source, ""
        if source == self._wanted:
            self._refused = ""
        for warning in greeting.warnings:
            shared.reporter.warning(f"{self.name}: {warning}")
        if before is not None:
            before.retire()
            shared.observer.swap(self.name, DONE)
            shared.reporter.info(f"{self.name} answers with {source.version} now")
        self._announce(None)
        self._versions.add(version)
        version.ended.add_done_callback(lambda ended: self._ended(version, ended))

    async def _recorder(self, source: Source, connection: ModelConnection, greeting: Greeting) -> Recorder | None:
        """Return the recorder of a loaded model, None for nobody; end its process if the log cannot be opened."""
        recording = self._shared.recording
        if recording is None:
            return None
        try:
            return await asyncio.to_thread(recording.open, source.location, greeting)
        except BaseException:
            await connection.close()
            raise

    def _refuse(self, source: Source, error: TransferError) -> None:
        """Keep what answers now, and say why a source cannot be loaded; it is tried again later."""
        count = self._back_off(source)
        again = error.message == self._reason
        self._reason = error.message
        if self._current is not None:
            self._count_refused(source.version)
            kept = f"{self._current.source.version} goes on to answer"
        else:
            kept = "it does not answer"
        if not again or count == 1:
            self._shared.reporter.warning(f"{self.name}: {source.version} cannot be loaded: {error.message}; {kept}")
        self._announce(error)

    def _count_refused(self, version: str) -> None:
        """Count a version that cannot take over, once, however often it is tried."""
        if self._current is not None and version != self._refused:
            self._shared.observer.swap(self.name, REFUSED)
            self._refused = version

    def _ended(self, version: Version, ended: asyncio.Future[TransferError]) -> None:
        self._versions.discard(version)
        if not ended.cancelled():
            self._lost(version, ended.result())

    def _lost(self, version: Version, reason: TransferError) -> None:
        """Start a version again whose process has ended by itself."""
        if self._current is not version:
            return
        self._current = None
        self._back_off(version.source)
        self._shared.observer.ended("model")
        self._shared.reporter.warning(f"{self.name}: {reason.message}; it is started again")
        self._changed.set()

    def _back_off(self, source: Source) -> int:
        """Count a failed start or a crash, and return how many there were; each doubles the time to the next start."""
        now = asyncio.get_running_loop().time()
        count, due = self._failures.get(source, (0, 0.0))
        count = count + 1 if now - due < HEALTHY_SECONDS else 1
        self._failures[source] = count, now + min(LAST_RETRY, FIRST_RETRY * 2 ** (count - 1))
        return count

    def _announce(self, error: TransferError | None) -> None:
        if self.first_outcome is not None and not self.first_outcome.done():
            self.first_outcome.set_result(error)

    async def _pause(self) -> None:
        """Wait until something is to be loaded."""
        self._changed.clear()
        now = asyncio.get_running_loop().time()
        dues = [
            due for source, (_, due) in self._failures.items() if source in (self._wanted, self._good) and due > now
        ]
        with suppress(TimeoutError):
            async with asyncio.timeout_at(min(dues) if dues else None):
                await self._changed.wait()

    async def _follow(self) -> None:
        def changed(source: Source) -> None:
            if source.version != self._refused:
                self._refused = ""
            if source != self._wanted:
                self._wanted = source
                self._failures.pop(source, None)
                self._changed.set()

        def failed(error: TransferError, version: str) -> None:
            if version and version != self.version:  # else nothing is to be swapped
                self._count_refused(version)
            self._shared.reporter.warning(f"{self.name}: {self._target.text}: {error.message}; nothing is changed")

        await follow(self._target, changed, failed)


class Models(Mapping[str, ServedModel]):
    """All models of a server, by name, as an asynchronous context manager that starts and ends them.

    Their processes are started when this object is made, so that they load while the server starts.
    """

    def __init__(
        self,
        targets: Sequence[tuple[Target, Source]],
        reporter: Reporter,
        queue_images: int = QUEUE_IMAGES,
        recording: Recording | None = None,
    ) -> None:
        self.shared = Surroundings(reporter, Decoders(usable_cores()), queue_images, recording=recording)
        self._models = {target.name: ServedModel(target, source, self.shared) for target, source in targets}
        self._tasks: list[asyncio.Task[None]] = []

    def __getitem__(self, name: str) -> ServedModel:
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    async def __aenter__(self) -> Models:
        loop = asyncio.get_running_loop()
        for model in self.values():
            model.first_outcome = loop.create_future()
        self._tasks = [asyncio.create_task(model.run()) for model in self.values()]
        self.shared.decoders.start(lambda: self.shared.observer.ended("decoder"))
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.shared.decoders.close()

    async def first_outcomes(self) -> list[TransferError | None]:
        """Wait until the first start of each model has ended; return the error of each, None for one that answers."""
        return [await model.first_outcome for model in self.values() if model.first_outcome is not None]

    def kill(self) -> None:
        """End the processes of models whose server was never started."""
        for model in self.values():
            model.kill()
