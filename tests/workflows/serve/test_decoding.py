"""Decoding workers of a server: the same pixels as `predict`, and hostile images that cost only themselves."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.workflows.serve.hosted import PATIENCE, kill, until
from transfercli.data.decoding.decode import decode_file, resize_array
from transfercli.data.image import Geometry
from transfercli.workflows.serve import decoding
from transfercli.workflows.serve.batching import Item, Job
from transfercli.workflows.serve.decoding import CRASHED, MODULE, Decoders, Queue

Found = list[np.ndarray | str]
GEOMETRY = Geometry(24, 32, "crop", "#ffffff")


class Outcomes:
    """Queue whose outcomes are kept in the order of the images."""

    def __init__(self, decoders: Decoders, geometry: Geometry = GEOMETRY) -> None:
        self.decoders, self.found = decoders, dict[int, np.ndarray | str]()
        self.queue = Queue(geometry, self._decoded, lambda item, problem: self.found.update({item.index: problem}))
        self.job = Job([], 1, False, lambda: None)
        decoders.open(self.queue)

    def _decoded(self, items: Sequence[Item]) -> None:
        self.found |= {item.index: item.pixels for item in items if item.pixels is not None}

    async def of(self, images: Sequence[bytes | np.ndarray]) -> list[np.ndarray | str]:
        self.add(images)
        await until(lambda: len(self.found) == len(images))
        return [self.found[index] for index in range(len(images))]

    def add(self, images: Sequence[bytes | np.ndarray]) -> None:
        self.decoders.add(self.queue, [Item(self.job, index, content) for index, content in enumerate(images)])


def decoded(images: Sequence[bytes | np.ndarray], workers: int = 2, seconds: float = PATIENCE) -> Found:
    async def run() -> list[np.ndarray | str]:
        decoders = Decoders(workers, seconds)
        outcomes = Outcomes(decoders)
        decoders.start()
        try:
            return await outcomes.of(images)
        finally:
            await decoders.close()

    return asyncio.run(run())


def png(side: int, level: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (level, 100, 200)).save(buffer, "PNG")
    return buffer.getvalue()


def test_the_pixels_are_those_of_predict(pictures: list[Path]) -> None:
    found = decoded([path.read_bytes() for path in pictures[:40]])
    expected = [decode_file(str(path), GEOMETRY).pixels for path in pictures[:40]]
    assert len({pixels.tobytes() for pixels in expected if pixels is not None}) > 10
    np.testing.assert_array_equal(np.stack(found), np.stack(expected))  # type: ignore[arg-type]


def test_an_array_is_resized_as_a_decoded_file_is() -> None:
    array = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    (found,) = decoded([array])
    np.testing.assert_array_equal(found, resize_array(array, GEOMETRY).pixels)


def test_hostile_images_cost_only_themselves(pictures: list[Path]) -> None:
    good = pictures[0].read_bytes()
    bomb = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(bomb, "PNG")
    hostile = [b"", b"\0" * 100, b"GIF89a", good[:60], b"<svg/>", bomb.getvalue(), b"\x89PNG\r\n\x1a\n" + b"x" * 99]
    mixed = [image for one in hostile for image in (one, good)]
    found = decoded([*mixed, np.zeros((0, 5, 3), np.uint8)])
    assert all(isinstance(one, str) and one for one in (*found[:-1:2], found[-1]))
    assert all(isinstance(one, np.ndarray) for one in found[1::2])
    assert "data.max_megapixels allows 50" in str(found[10])


def test_an_image_that_takes_too_long_is_given_up_and_the_others_are_decoded() -> None:
    slow, fast = png(6000), png(8)
    found = decoded([fast, slow, fast], workers=1, seconds=0.02)
    assert isinstance(found[0], np.ndarray)
    assert isinstance(found[2], np.ndarray)
    assert "unreadable: takes more than" in str(found[1])


def test_killed_workers_cost_no_image() -> None:
    async def run() -> list[np.ndarray | str]:
        decoders, ends = Decoders(2), list[int]()
        outcomes = Outcomes(decoders)
        decoders.start(lambda: ends.append(1))
        try:
            images = [png(1500, level) for level in range(12)]
            outcomes.add(images)
            await until(lambda: outcomes.found)
            assert kill(MODULE) == 2
            await until(lambda: len(outcomes.found) == len(images))
            await until(lambda: len(ends) == 2)
            return [outcomes.found[index] for index in range(len(images))]
        finally:
            await decoders.close()

    found = asyncio.run(run())
    assert [one[0, 0, 0] for one in found if not isinstance(one, str)] == list(range(12))


def test_an_image_that_ends_two_workers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> dict[int, np.ndarray | str]:
        decoders = Decoders(1)
        outcomes = Outcomes(decoders)
        decoders.start()
        try:
            outcomes.add([png(6000), png(8)])
            while 0 not in outcomes.found:
                await until(lambda: outcomes.queue.working or 0 in outcomes.found)
                kill(MODULE)
                await until(lambda: not outcomes.queue.working)
            await until(lambda: len(outcomes.found) == 2)
            return outcomes.found
        finally:
            await decoders.close()

    found = asyncio.run(run())
    assert found[0] == CRASHED
    assert isinstance(found[1], np.ndarray)


def test_images_that_nobody_waits_for_are_not_decoded() -> None:
    async def run() -> tuple[set[int], int]:
        decoders = Decoders(1)
        given_up, kept = Outcomes(decoders), Outcomes(decoders)
        given_up.job.over = True
        given_up.add([png(8)] * 5)
        decoders.start()
        try:
            await kept.of([png(8)])
            return set(given_up.found), given_up.queue.coming
        finally:
            await decoders.close()

    assert asyncio.run(run()) == (set(), 0)


def test_models_take_turns() -> None:
    async def run() -> int:
        decoders = Decoders(1)
        many, one = Outcomes(decoders), Outcomes(decoders)
        many.add([png(600)] * 100)
        one.add([png(8)])
        decoders.start()
        try:
            await until(lambda: one.found)
            return len(many.found)
        finally:
            await decoders.close()

    assert asyncio.run(run()) < 50


def test_a_worker_that_the_system_cannot_start_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = [BlockingIOError(11, "Resource temporarily unavailable")] * 3
    start = decoding.start_child

    def start_child(*arguments: Any, **options: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return start(*arguments, **options)

    monkeypatch.setattr(decoding, "start_child", start_child)
    monkeypatch.setattr(decoding, "RESTART_SECONDS", 0.01)
    (found,) = decoded([png(40)], workers=1)
    assert isinstance(found, np.ndarray)
    assert not refusals
