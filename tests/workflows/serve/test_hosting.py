"""Served models: the answers of `predict`, and what becomes of requests when a process dies or a link moves."""

from __future__ import annotations

import asyncio
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.listener import Listener
from tests.workflows.predict.predicted import said
from tests.workflows.serve.conftest import FIRST, SECOND
from tests.workflows.serve.hosted import hosted, kill, until
from transfercli.data.decoding.decode import decode_file
from transfercli.io import atomic
from transfercli.reporting import Reporter
from transfercli.workflows.export.export import ExportRunRequest, export_run
from transfercli.workflows.predict.predictions import Prediction
from transfercli.workflows.serve import hosting
from transfercli.workflows.serve.errors import NotReady, Overloaded, TimedOut
from transfercli.workflows.serve.hosting import AnswerOptions, Answers
from transfercli.workflows.serve.model_connection import MODULE

PROCESS = MODULE.rpartition(".")[2]


def answered(runs: Path, text: str, images: list[Any], export: str | None = None, **options: Any) -> Answers:
    async def run() -> Answers:
        async with hosted(runs, text, export=export) as (models, _):
            (model,) = models.values()
            return await model.answer(images, AnswerOptions(**options))

    return asyncio.run(run())


def assert_same(answers: list[Prediction], expected: list[Prediction]) -> None:
    """Assert that predictions differ in their path and in numbers below 1e-6 only."""
    assert len(answers) == len(expected)
    for one, other in zip(answers, expected, strict=True):
        assert (one.abstained, one.error, one.strange, one.unsure) == (
            other.abstained,
            other.error,
            other.strange,
            other.unsure,
        )
        for name in ("top", "answered"):
            pairs, others = dict(getattr(one, name) or ()), dict(getattr(other, name) or ())
            assert pairs == pytest.approx(others, abs=1e-6)
        for name, most in (("unknown", 1e-4), ("value", 1e-5)):
            number, expected_number = getattr(one, name), getattr(other, name)
            assert (number is None) == (expected_number is None)
            assert number is None or number == pytest.approx(expected_number, rel=most)


@pytest.mark.slow
@pytest.mark.parametrize("export", [None, "onnx"])
def test_the_answers_are_those_of_predict(
    source: Any, champion: Path, pictures: list[Path], export: str | None
) -> None:
    answers = answered(champion, "digits@champion", [path.read_bytes() for path in pictures], export, top=3)
    artefact = champion / "digits" / FIRST / "exports" / "onnx" if export else champion / "digits" / FIRST
    assert_same(answers, said(source[0], artefact, list(map(str, pictures)), top=3, abstain=True))
    assert answers.version == FIRST
    assert answers.labels == ("0", "1", "2", "3", "4")
    rows = np.stack([row for row in answers.probabilities if row is not None])
    assert [answers.labels[row.argmax()] for row in rows] == [answer.top[0][0] for answer in answers]


@pytest.mark.slow
def test_several_labels_are_those_of_predict(scenes: Any) -> None:
    world, run = scenes
    files = sorted((world.folder / "scenes").glob("*.png"))[:40]
    answers = answered(world.runs, f"m={run}", [file.read_bytes() for file in files], top=4)
    assert_same(answers, said(world, run, list(map(str, files)), top=4, abstain=True))
    assert len({len(answer.answered or ()) for answer in answers}) > 1


@pytest.mark.slow
def test_numbers_are_those_of_predict(source: Any, pictures: list[Path], tmp_path: Path) -> None:
    world, parent = source
    rows = [f"{path},{number}.5" for number, path in enumerate(pictures)]
    (tmp_path / "numbers.csv").write_text("\n".join(["path,amount", *rows]))
    data = {"train": str(tmp_path / "numbers.csv"), "columns": {"label": "amount"}}
    transfer = {"strategy": "linear_probe"}
    model = {"weights": {"run": parent["run"]}}
    config = world.config("amount", "", task="regression", data=data, model=model, transfer=transfer)
    run = world.train("finetune", config)["run"]
    answers = answered(world.runs, f"m={run}", [path.read_bytes() for path in pictures[:9]])
    assert_same(answers, said(world, run, list(map(str, pictures[:9]))))
    assert len({answer.value for answer in answers}) > 1


def test_an_unreadable_image_is_an_error_among_answers(champion: Path, pictures: list[Path]) -> None:
    pixels = np.asarray(decode_file(str(pictures[0]), answered_geometry(champion)).pixels)
    images = [pictures[0].read_bytes(), b"no image", pixels, pictures[0].read_bytes()[:50]]
    answers = answered(champion, "digits@champion", images, "onnx")
    assert [bool(answer.error) for answer in answers] == [False, True, False, True]
    assert answers[0].top == answers[2].top
    assert answers.probabilities[1] is None


def answered_geometry(champion: Path) -> Any:
    from transfercli.workflows.predict.predictors import find_model

    return find_model(str(champion / "digits" / FIRST), champion, Reporter()).geometry


def test_requests_are_gathered_and_each_gets_its_own_answers(champion: Path, pictures: list[Path]) -> None:
    images = [path.read_bytes() for path in pictures[:30]]

    async def run() -> tuple[list[Answers], Answers, list[int]]:
        async with hosted(champion, "digits@champion", export="onnx") as (models, events):
            model = models["digits"]
            whole = await model.answer(images, AnswerOptions(top=1))
            events.batches.clear()
            tops = [AnswerOptions(top=1 + number % 3, abstain=bool(number % 2)) for number in range(len(images))]
            parts = await asyncio.gather(*(model.answer([one], top) for one, top in zip(images, tops, strict=True)))
            return parts, whole, events.batches

    parts, whole, batches = asyncio.run(run())
    assert sum(batches) == len(images)
    assert len(batches) < len(images)
    assert [len(part[0].top) for part in parts] == [1 + number % 3 for number in range(len(images))]
    assert [part[0].top[0][0] for part in parts] == [one.top[0][0] for one in whole]


def test_a_killed_process_is_started_again(champion: Path, pictures: list[Path]) -> None:
    image, listener = pictures[0].read_bytes(), Listener()

    async def run() -> list[str]:
        async with hosted(champion, "digits@champion", export="onnx", reporter=listener) as (models, events):
            model = models["digits"]
            before = await model.answer([image], AnswerOptions())
            under_way = [asyncio.create_task(model.answer([image] * 200, AnswerOptions())) for _ in range(2)]
            await asyncio.sleep(0)
            assert kill(PROCESS) == 1
            outcomes = await asyncio.gather(*under_way, return_exceptions=True)
            assert all(isinstance(one, NotReady) and one.retry_after for one in outcomes)
            with pytest.raises(NotReady):
                await model.answer([image], AnswerOptions())
            await until(lambda: model.state == "ready")
            assert await model.answer([image], AnswerOptions()) == before
            return events.ends

    assert asyncio.run(run()) == ["model"]
    assert any("its process was killed" in text and "started again" in text for text in listener.warnings)


def test_a_process_that_hangs_is_started_again(
    champion: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosting, "STUCK_SECONDS", 0.1)
    image = pictures[0].read_bytes()

    async def run() -> None:
        async with hosted(champion, "digits@champion", export="onnx") as (models, _):
            model = models["digits"]
            await model.answer([image], AnswerOptions())
            kill(PROCESS, signal.SIGSTOP)
            outcomes = []
            while model.state == "ready":
                request = model.answer([image], AnswerOptions(deadline=0.1))
                outcomes += await asyncio.gather(request, return_exceptions=True)
            assert {type(one) for one in outcomes} <= {TimedOut, NotReady}
            await until(lambda: model.state == "ready")
            assert len(await model.answer([image], AnswerOptions())) == 1

    asyncio.run(run())


@pytest.mark.parametrize("export", ["onnx", pytest.param(None, marks=pytest.mark.slow)])
def test_a_promotion_under_load_loses_no_request(runs: Path, pictures: list[Path], export: str | None) -> None:
    image = pictures[0].read_bytes()
    versions: list[str] = []

    async def run() -> list[str]:
        async with hosted(runs, "digits@champion", export=export) as (models, events):
            model, stop = models["digits"], asyncio.Event()

            async def client() -> None:
                while not stop.is_set():
                    versions.append((await model.answer([image] * 3, AnswerOptions())).version)

            clients = [asyncio.create_task(client()) for _ in range(8)]
            await until(lambda: len(versions) > 20)
            atomic.replace_symlink(runs / "digits" / "champion", SECOND)
            await until(lambda: model.version == SECOND)
            await until(lambda: versions.count(SECOND) > 20)
            stop.set()
            await asyncio.gather(*clients)
            await until(lambda: kill_count() == 1)
            return events.swaps

    assert asyncio.run(run()) == ["done"]
    assert set(versions) == {FIRST, SECOND}


def kill_count() -> int:
    """Return the number of running processes of models."""
    import os

    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return sum(PROCESS in Path(f"/proc/{child}/cmdline").read_text() for child in children)


def test_a_damaged_champion_keeps_the_one_before_and_says_so(runs: Path, pictures: list[Path]) -> None:
    image, listener = pictures[0].read_bytes(), Listener()
    model_file = runs / "digits" / SECOND / "exports" / "onnx" / "model.onnx"
    model_file.write_bytes(model_file.read_bytes()[:-100])

    async def run() -> list[str]:
        async with hosted(runs, "digits@champion", export="onnx", reporter=listener) as (models, events):
            model = models["digits"]
            atomic.replace_symlink(runs / "digits" / "champion", SECOND)
            await until(lambda: events.swaps)
            assert (model.state, model.version) == ("ready", FIRST)
            assert model.reason
            assert (await model.answer([image], AnswerOptions())).version == FIRST
            kill(PROCESS)  # the one before is started again, as the damaged one cannot be
            await until(lambda: model.state != "ready")
            await until(lambda: model.state == "ready")
            assert (await model.answer([image], AnswerOptions())).version == FIRST
            return events.swaps

    assert asyncio.run(run()) == ["refused"]
    (line,) = [text for text in listener.warnings if "cannot be loaded" in text]
    assert line.startswith(f"digits: {SECOND} cannot be loaded: ")
    assert line.endswith(f"{FIRST} goes on to answer")


def test_a_champion_without_the_export_keeps_the_one_before_until_it_is_exported(runs: Path) -> None:
    exports, listener = runs / "digits" / SECOND / "exports", Listener()
    lacking = f"digits/{SECOND} has no export in the format onnx"
    shutil.move(exports / "onnx", exports / "elsewhere")

    async def run() -> None:
        async with hosted(runs, "digits@champion", export="onnx", reporter=listener) as (models, events):
            atomic.replace_symlink(runs / "digits" / "champion", SECOND)
            await until(lambda: any(lacking in text for text in listener.warnings))
            assert models["digits"].version == FIRST
            (runs / "digits" / SECOND / "run.json").touch()  # a further look finds the same champion
            await until(lambda: sum(lacking in text for text in listener.warnings) == 2)
            assert events.swaps == ["refused"]
            (exports / "elsewhere").rename(exports / "onnx")
            await until(lambda: models["digits"].version == SECOND)
            assert events.swaps == ["refused", "done"]

    asyncio.run(run())


def test_a_model_that_cannot_be_loaded_says_so_and_the_others_answer(runs: Path, pictures: list[Path]) -> None:
    image, listener = pictures[0].read_bytes(), Listener()
    (runs / "digits" / SECOND / "exports" / "onnx" / "model.onnx").write_bytes(b"no model")

    async def run() -> None:
        texts = "good=digits@champion", f"bad=digits/{SECOND}"
        async with hosted(runs, *texts, export="onnx", reporter=listener) as (models, _):
            assert [models[name].state for name in ("good", "bad")] == ["ready", "failed"]
            assert len(await models["good"].answer([image], AnswerOptions())) == 1
            with pytest.raises(NotReady, match="bad could not be loaded") as error:
                await models["bad"].answer([image], AnswerOptions())
            assert error.value.retry_after is not None
            with pytest.raises(KeyError):
                models["other"]

    asyncio.run(run())
    assert len([text for text in listener.warnings if text.startswith("bad: ")]) == 1


def test_past_the_queue_a_request_is_refused_with_the_time_to_come_back(champion: Path, pictures: list[Path]) -> None:
    image = pictures[0].read_bytes()

    async def run() -> None:
        async with hosted(champion, "digits@champion", export="onnx", queue_images=20) as (models, _):
            model = models["digits"]
            first = asyncio.create_task(model.answer([image] * 50, AnswerOptions()))  # alone, it may be larger
            await asyncio.sleep(0)
            with pytest.raises(Overloaded) as error:
                await model.answer([image], AnswerOptions())
            assert error.value.retry_after is not None
            assert error.value.retry_after >= 1
            assert len(await first) == 50
            assert len(await model.answer([image], AnswerOptions())) == 1

    asyncio.run(run())


def test_work_that_nobody_waits_for_is_not_done(champion: Path, pictures: list[Path]) -> None:
    image = pictures[0].read_bytes()

    async def run() -> None:
        async with hosted(champion, "digits@champion", export="onnx", queue_images=10_000) as (models, events):
            model = models["digits"]
            with pytest.raises(TimedOut):
                await model.answer([image] * 5000, AnswerOptions(deadline=0.02))
            gone = asyncio.create_task(model.answer([image] * 5000, AnswerOptions()))
            await asyncio.sleep(0)
            gone.cancel()
            assert len(await model.answer([image], AnswerOptions())) == 1
            assert sum(events.batches) < 1000

    asyncio.run(run())


def test_the_end_leaves_no_process(champion: Path) -> None:
    async def run() -> None:
        async with hosted(champion, "digits@champion", export="onnx"):
            assert kill_count() == 1

    asyncio.run(run())
    assert kill_count() == 0


@pytest.mark.slow
def test_labels_may_change_with_the_champion(scenes: Any, runs: Path, pictures: list[Path]) -> None:
    """A request is answered wholly by one version: its labels and its geometry."""
    _, run = scenes
    export_run(ExportRunRequest(str(run), run.parent.parent, ("onnx",)), Reporter())
    shutil.copytree(run, runs / "digits" / "other")
    image = pictures[0].read_bytes()

    async def run_both() -> list[Answers]:
        async with hosted(runs, "digits@champion", export="onnx") as (models, _):
            model = models["digits"]
            pending = [asyncio.create_task(model.answer([image] * 300, AnswerOptions(top=9)))]
            atomic.replace_symlink(runs / "digits" / "champion", "other")
            await until(lambda: model.version == "other")
            return [await pending[0], await model.answer([image] * 3, AnswerOptions(top=9))]

    for answers, version in zip(asyncio.run(run_both()), (FIRST, "other"), strict=True):
        assert answers.version == version
        assert {frozenset(label for label, _ in one.top) for one in answers} == {frozenset(answers.labels)}


def test_a_start_that_fails_is_tried_again_with_growing_pauses(champion: Path) -> None:
    async def run() -> list[float]:
        async with hosted(champion, "digits@champion", export="onnx") as (models, _):
            model = models["digits"]
            now = asyncio.get_running_loop().time()
            source = replace(model._wanted, version="never")
            pauses = []
            for _ in range(9):
                model._back_off(source)
                pauses.append(round(model._failures[source][1] - now, 1))
            return pauses

    pauses = asyncio.run(run())
    assert pauses[:4] == [0.5, 1, 2, 4]
    assert pauses[-1] == hosting.LAST_RETRY


def test_a_process_that_the_system_cannot_start_is_tried_again(champion: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start, refusals, listener = hosting.ModelConnection, [], Listener()

    def connect(*arguments: Any, **options: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return start(*arguments, **options)

    async def run() -> None:
        monkeypatch.setattr(hosting, "ModelConnection", connect)
        async with hosted(champion, "digits@champion", export="onnx", reporter=listener) as (models, _):
            refusals.append(BlockingIOError(11, "Resource temporarily unavailable"))
            kill(PROCESS)
            await until(lambda: models["digits"].state == "failed")
            await until(lambda: models["digits"].state == "ready")

    asyncio.run(run())
    assert any("it cannot be started: " in text for text in listener.warnings)
