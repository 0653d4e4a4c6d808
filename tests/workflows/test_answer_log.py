"""The answer log of a process: safe for threads, whole after a kill, and one file a day."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.listener import Listener
from transfercli.errors import DiskError, UsageError
from transfercli.evaluation.monitoring.kept_images import TABLE
from transfercli.evaluation.monitoring.log_folder import log_files, model_folder, read_sketches
from transfercli.evaluation.monitoring.model_facts import ModelFacts
from transfercli.io import atomic
from transfercli.workflows import answer_log
from transfercli.workflows.answer_log import AnswerLog
from transfercli.workflows.predict.loadable import ModelOutput

LABELS = ("a", "b", "c")
FACTS = ModelFacts("pets/night-1", "run", LABELS, "one label", {}, "ab" * 32)
NUMBERS = ModelFacts("ages/night-1", "run", ("age",), "number", {}, "ab" * 32)
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()
DAY = 86_400


def batch(seed: int, images: int = 8, padding: int = 0) -> tuple[list[np.ndarray], ModelOutput]:
    """Return images, and an output with rows of padding behind theirs."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (images, 4, 4, 3), np.uint8)
    rows = images + padding
    probabilities = rng.dirichlet(np.ones(3), rows).astype(np.float32)
    score = rng.normal(size=rows)
    features = rng.random((rows, 6), np.float32)
    strange = score > 1.5
    return list(pixels), ModelOutput(probabilities, strange, unknown=score, strange=strange, features=features)


def json_of(log: Path) -> dict[str, Any]:
    sketch = read_sketches(log)
    sample = sketch.sample
    return {
        "days": {day.isoformat(): counts.as_json() for day, counts in sketch.days.items()},
        "sample": [sample.keys.tolist(), sample.times.tolist(), sample.features.tolist()],
    }


def opened(folder: Path, **options: Any) -> AnswerLog:
    return AnswerLog(folder, FACTS, clock=lambda: NOON, **options)


def test_threads_and_one_thread_write_the_same_log(tmp_path: Path) -> None:
    with opened(tmp_path / "one") as log:
        for seed in range(60):
            log.record(*batch(seed, padding=seed % 3))
    with opened(tmp_path / "many") as log, ThreadPoolExecutor(8) as threads:
        flushing = [threads.submit(log.flush) for _ in range(5)]
        recording = [threads.submit(log.record, *batch(seed, padding=seed % 3)) for seed in reversed(range(60))]
        for done in [*flushing, *recording]:
            done.result()
    assert json_of(tmp_path / "one") == json_of(tmp_path / "many")
    assert read_sketches(tmp_path / "one").images == 480


def test_processes_that_log_at_once_write_files_of_their_own(tmp_path: Path) -> None:
    logs = [opened(tmp_path / "log", keep_images=5) for _ in range(3)]
    for seed in range(30):
        logs[seed % 3].record(*batch(seed))
    for log in logs:
        log.close()
    assert len(log_files(model_folder(tmp_path / "log", FACTS))) == 3
    with opened(tmp_path / "alone", keep_images=5) as log:
        for seed in range(30):
            log.record(*batch(seed))
    assert json_of(tmp_path / "log") == json_of(tmp_path / "alone")
    tables = [(model_folder(tmp_path / name, FACTS) / TABLE).read_text() for name in ("log", "alone")]
    assert tables[0] == tables[1]


def test_every_day_has_a_file_of_its_own(tmp_path: Path) -> None:
    now = NOON
    log = AnswerLog(tmp_path / "log", FACTS, clock=lambda: now)
    for days in range(3):
        now = NOON + days * DAY
        log.record(*batch(days))
        log.record_failed(days)
    log.close()
    sketch = read_sketches(tmp_path / "log")
    assert {day: (one.images, one.failed) for day, one in sketch.days.items()} == {
        date(2026, 11, 29): (8, 0),
        date(2026, 11, 30): (8, 1),
        date(2026, 12, 1): (8, 2),
    }
    assert len(log_files(model_folder(tmp_path / "log", FACTS))) == 3
    assert len(sketch.sample) == 24


def test_a_log_without_news_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = opened(tmp_path / "log")
    log.record(*batch(1))
    log.flush()
    monkeypatch.setattr(answer_log, "write_log_file", pytest.fail)
    log.flush()
    log.close()


def test_a_thread_writes_what_is_new_without_being_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = threading.Event()
    monkeypatch.setattr(answer_log, "SECONDS", 0.01)
    real = answer_log.write_log_file

    def write(path: Path, content: Any) -> None:
        real(path, content)
        written.set()

    monkeypatch.setattr(answer_log, "write_log_file", write)
    with opened(tmp_path / "log") as log:
        log.record(*batch(1))
        assert written.wait(60)
        assert read_sketches(tmp_path / "log").images == 8


def test_an_output_that_is_not_finite_is_counted_as_failed(tmp_path: Path) -> None:
    images, output = batch(1)
    output.probabilities[2:5] = np.nan
    with opened(tmp_path / "log", keep_images=3) as log:
        log.record(images, output)
    sketch = read_sketches(tmp_path / "log")
    assert (sketch.images, sketch.counts.failed, len(sketch.sample)) == (5, 3, 5)


def test_numbers_have_a_histogram_and_no_confidence(tmp_path: Path) -> None:
    images, output = batch(1)
    values = np.linspace(20, 60, 8, dtype=np.float32)[:, None]
    with AnswerLog(tmp_path / "log", NUMBERS) as log:
        log.record(images, ModelOutput(values, np.zeros(8, bool), features=output.features))
    sketch = read_sketches(tmp_path / "log")
    assert (sketch.images, sketch.counts.value.sum(), sketch.counts.confidence.sum()) == (8, 8, 0)
    assert sketch.mean_confidence is None
    assert sorted(sketch.probabilities[:, 0]) == values[:, 0].tolist()
    with pytest.raises(UsageError, match="a number has none"):
        AnswerLog(tmp_path / "log", NUMBERS, keep_images=3)


def test_a_full_disk_is_a_warning_and_nothing_is_lost_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, real = Listener(), atomic.write_bytes
    log = AnswerLog(tmp_path / "log", FACTS, reporter=listener, clock=lambda: NOON)
    log.record(*batch(1))

    def full(path: Path, content: bytes) -> None:
        raise DiskError("cannot write: no space left", "free some")

    monkeypatch.setattr(atomic, "write_bytes", full)
    for _ in range(3):
        log._try_flush()
    assert len([text for text in listener.warnings if "no space left" in text]) == 1
    with pytest.raises(DiskError):
        log.flush()
    monkeypatch.setattr(atomic, "write_bytes", real)
    log.record(*batch(2))
    log.close()
    assert read_sketches(tmp_path / "log").images == 16


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="cannot write"):
        opened(tmp_path / "file" / "log")


WRITER = """
import sys
from pathlib import Path
from tests.workflows.test_answer_log import FACTS, batch, answer_log
answer_log.SECONDS = 0.001
answer_log.SHARE = 1.0
log = answer_log.AnswerLog(Path(sys.argv[1]), FACTS, keep_images=4)
for seed in range(100_000):
    log.record(*batch(int(sys.argv[2]) + seed, images=2))
    print(seed, flush=True)
"""


@pytest.mark.slow
def test_a_kill_at_any_moment_damages_nothing_and_the_counts_are_those_of_whole_batches(tmp_path: Path) -> None:
    log, rng, before = tmp_path / "log", np.random.default_rng(0), 0
    for attempt in range(12):
        command = [sys.executable, "-c", WRITER, str(log), str(attempt * 1_000_000)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()) as process:
            assert process.stdout is not None
            for _ in range(int(rng.integers(1, 400))):
                recorded = int(process.stdout.readline())
            os.kill(process.pid, signal.SIGKILL)
            rest = process.stdout.read().split()
        recorded = int(rest[-1]) if rest else recorded
        images = read_sketches(log).images if log_files(model_folder(log, FACTS)) else 0
        assert 0 <= images - before <= 2 * (recorded + 2)
        assert images % 2 == 0
        before = images
    assert before > 0
    with AnswerLog(log, FACTS, keep_images=4) as one:
        one.record(*batch(7))
    folder = model_folder(log, FACTS)
    assert read_sketches(log).images == before + 8
    assert len((folder / TABLE).read_text().splitlines()) == 5
    assert json.loads((folder / "model.json").read_text())["format"] == 1
