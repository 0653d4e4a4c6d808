"""`serve --log`: the log of what a server answered is that of `predict`, also over a promotion and a killed process."""

from __future__ import annotations

import asyncio
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.listener import Listener
from tests.workflows.predict.predicted import said
from tests.workflows.serve.conftest import SECOND
from tests.workflows.serve.hosted import Events, hosted, kill, until
from transfercli.errors import TransferError
from transfercli.evaluation.monitoring.kept_images import FOLDER
from transfercli.evaluation.monitoring.log_folder import models_in, read_sketches
from transfercli.io import atomic
from transfercli.workflows.answer_log import AnswerLog
from transfercli.workflows.serve import recording as recording_module
from transfercli.workflows.serve.hosting import AnswerOptions
from transfercli.workflows.serve.recording import Recording

OPTIONS = AnswerOptions()


def counts_of(log: Path, model: str | None = None) -> dict[str, Any]:
    counts = read_sketches(log, model=model).counts.as_json()
    return {name: value for name, value in counts.items() if name not in ("first", "last")}


@pytest.mark.slow
def test_the_log_is_that_of_predict_whatever_the_batches(
    source: Any, champion: Path, pictures: list[Path], tmp_path: Path
) -> None:
    contents = [picture.read_bytes() for picture in pictures]

    async def ask() -> None:
        recording = Recording(tmp_path / "served", 4, Listener())
        async with hosted(champion, "digits=digits@champion", recording=recording) as (models, _):
            one_by_one = [models["digits"].answer([content], OPTIONS) for content in contents[:10]]
            await asyncio.gather(*one_by_one, models["digits"].answer(contents[10:], OPTIONS))
            await models["digits"].answer([b"no image"], OPTIONS)

    asyncio.run(ask())
    said(source[0], champion / "digits" / "champion", [*map(str, pictures), "missing"], log=tmp_path / "predicted")
    assert counts_of(tmp_path / "served") == counts_of(tmp_path / "predicted")
    served, predicted = read_sketches(tmp_path / "served"), read_sketches(tmp_path / "predicted")
    assert served.model == predicted.model
    np.testing.assert_array_equal(served.sample.keys, predicted.sample.keys)
    assert served.features is not None
    assert predicted.features is not None
    np.testing.assert_allclose(served.features, predicted.features, atol=1e-4)
    (own,) = models_in(tmp_path / "served")
    kept = {path.read_bytes() for path in (own / FOLDER).iterdir()}
    assert len(kept) == 4
    assert kept < set(contents)


@pytest.mark.slow
def test_a_promotion_begins_a_log_of_its_own_and_a_killed_process_goes_on_with_that_of_its_model(
    runs: Path, pictures: list[Path], tmp_path: Path
) -> None:
    contents = [picture.read_bytes() for picture in pictures[:6]]
    shutil.rmtree(runs / "digits" / SECOND / "exports")
    calibration = runs / "digits" / SECOND / "calibration.json"
    calibration.write_text(calibration.read_text() + "\n")  # another model

    async def ask() -> None:
        recording = Recording(tmp_path / "log", 0, Listener())
        async with hosted(runs, "digits=digits@champion", recording=recording) as (models, _):
            model = models["digits"]
            await model.answer(contents, OPTIONS)
            kill("model_process")
            await until(lambda: model.state != "ready")
            await until(lambda: model.state == "ready")
            await model.answer(contents[:2], OPTIONS)
            atomic.replace_symlink(runs / "digits" / "champion", SECOND)
            await until(lambda: model.version.endswith(SECOND))
            await model.answer(contents[:3], OPTIONS)

    asyncio.run(ask())
    images = {
        facts.run: read_sketches(tmp_path / "log", model=facts.key).images
        for facts in models_in(tmp_path / "log").values()
    }
    assert images == {"digits/first": 8, "digits/second": 3}


@pytest.mark.slow
def test_a_log_that_cannot_be_written_is_an_error_of_the_start(champion: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    async def start() -> list[TransferError | None]:
        recording = Recording(tmp_path / "file" / "log", 0, Listener())
        async with hosted(champion, "digits=digits@champion", recording=recording) as (models, _):
            return await models.first_outcomes()

    (error,) = asyncio.run(start())
    assert error is not None
    assert "cannot write" in error.message


def test_a_disk_that_hangs_stops_no_answer(
    champion: Path, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has no room to wait is left out, counted, and said once."""
    hangs, listener = threading.Event(), Listener()
    recorded = AnswerLog.record

    def record(*arguments: Any) -> None:
        hangs.wait()
        recorded(*arguments)

    monkeypatch.setattr(AnswerLog, "record", record)
    monkeypatch.setattr(recording_module, "WAITING_BYTES", 10_000)
    image, asked = pictures[0].read_bytes(), 30

    async def ask() -> Events:
        recording = Recording(tmp_path / "log", 0, listener)
        async with hosted(champion, "digits@champion", export="onnx", recording=recording) as (models, events):
            for _ in range(asked):
                await models["digits"].answer([image], OPTIONS)
            await models["digits"].answer([b"no image"], OPTIONS)
            hangs.set()
        return events

    events = asyncio.run(ask())
    assert 0 < events.unlogged < asked
    counts = read_sketches(tmp_path / "log").counts
    assert counts.images + counts.failed + events.unlogged == asked + 1
    assert len([text for text in listener.warnings if "is too slow or hangs" in text]) == 1
    assert listener.warnings[-1] == f"the answers to {events.unlogged} images were left out of the log"


def test_the_last_answers_of_a_version_that_was_exchanged_are_written_at_the_end(
    runs: Path, pictures: list[Path], tmp_path: Path
) -> None:
    """The server stops while the version before still has requests: they end, and so do its process and its log."""
    calibration = runs / "digits" / SECOND / "calibration.json"
    calibration.write_text(calibration.read_text() + "\n")  # another model
    image = pictures[0].read_bytes()

    async def ask() -> None:
        recording = Recording(tmp_path / "log", 0, Listener())
        async with hosted(runs, "digits@champion", export="onnx", recording=recording) as (models, events):
            model = models["digits"]
            await model.answer([image] * 3, OPTIONS)
            version = model._current
            assert version is not None
            busy = asyncio.create_task(version.answer([image] * 20_000, 1, abstain=True))
            atomic.replace_symlink(runs / "digits" / "champion", SECOND)
            await until(lambda: events.swaps)
            assert not busy.done()
        assert version.ended.cancelled()
        busy.cancel()

    asyncio.run(ask())
    assert not kill("model_process")
    (facts,) = models_in(tmp_path / "log").values()
    assert read_sketches(tmp_path / "log", model=facts.key).images >= 3
