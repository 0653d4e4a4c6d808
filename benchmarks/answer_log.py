"""Cost of `predict --log` and `serve --log`: processor time beside that of the answers, and the size of a year's log.

Usage: python -m benchmarks.answer_log OUT.json [--base resnet50] [--side 96] [--images 2000]

Solves a head on a base with random weights, as `benchmarks.predict` does. In this process, batches of 32 images are
computed without and with features and recorded in a log, in turn; the shares are those of the forward pass without
features, in processor seconds, which other load of the machine affects less. Then `predict` answers the folder (JPEGs
of 320 x 320 pixels) without and with `--log --keep-images 100`, in turn, in this process and those that decode. Last,
365 nights of 3,000 images are written and compacted night by night, for the features of this base and 10 and 1,000
classes.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.predict import BATCH, FILE_SIDE
from benchmarks.workbench import finetune, make_config, run_measurement, write_images, write_weights
from transfercli.evaluation.monitoring.compaction import compact, new_name
from transfercli.evaluation.monitoring.counts import Answers, Counts, one_hot
from transfercli.evaluation.monitoring.log_files import LogFile, write_log_file
from transfercli.evaluation.monitoring.log_folder import log_files, open_model_folder
from transfercli.evaluation.monitoring.model_facts import ModelFacts
from transfercli.evaluation.monitoring.reservoir import Reservoir
from transfercli.reporting import Reporter
from transfercli.workflows.answer_log import AnswerLog
from transfercli.workflows.logged_model import facts_of
from transfercli.workflows.predict.loadable import with_features
from transfercli.workflows.predict.predict import PredictRequest, predict_images
from transfercli.workflows.predict.predictors import find_model

ROUNDS, REPEATS = 12, 5
NIGHTS, ASKED = 365, 3000


def processor_seconds(work: Callable[[], Any]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def costs_of_batches(run: str, log: Path, side: int) -> dict[str, Any]:
    """Return processor seconds an image of the forward pass, and the shares of features and of recording."""
    model = find_model(run, Path(run).parent, Reporter())
    plain, featured = model.load(), with_features(model).load()
    rng = np.random.default_rng(0)
    seconds: dict[str, list[float]] = {"forward": [], "with_features": [], "record": []}
    with AnswerLog(log, facts_of(model)) as answers:
        for number in range(ROUNDS + 2):
            images = rng.integers(0, 256, (BATCH, side, side, 3), np.uint8)
            output = featured(images)
            parts: dict[str, Callable[[], Any]] = {
                "forward": lambda images=images: plain(images),
                "with_features": lambda images=images: featured(images),
                "record": lambda images=images, output=output: answers.record(list(images), output),
            }
            for name, work in parts.items():
                value = processor_seconds(work)
                if number >= 2:  # the first batches compile
                    seconds[name].append(value / BATCH)
        width = output.features.shape[1]
    forward, featured_seconds, record = (statistics.median(values) for values in seconds.values())
    return {
        "width": width,
        "forward_processor_seconds_an_image": forward,
        "features_share": featured_seconds / forward - 1,
        "record_share": record / forward,
    }


def costs_of_predict(run: str, folder: Path, log: Path) -> dict[str, Any]:
    """Return processor seconds of `predict`, with those of its decoding processes, without and with a log."""
    seconds: dict[str, list[float]] = {"without": [], "with": []}
    for number in range(REPEATS + 1):
        for name, values in seconds.items():
            place = log / f"{number}" if name == "with" else None
            request = PredictRequest(run, Path(run).parent, (str(folder),), log=place, keep_images=100 * bool(place))
            started = sum(os.times()[:4])
            for _ in predict_images(request, Reporter()).answers:
                pass
            if number:  # the first time imports the frameworks
                values.append(sum(os.times()[:4]) - started)
    ratios = [new / old - 1 for old, new in zip(seconds["without"], seconds["with"], strict=True)]
    return {**seconds, "share": statistics.median(ratios)}


def size_of_a_year(work: Path, width: int, labels: int) -> dict[str, Any]:
    """Return files and megabytes of the log of a year of nights, the most that there ever were, and seconds a night."""
    names = tuple(f"class {number}" for number in range(labels))
    facts = ModelFacts("exp/run", "run", names, "one label", {}, "0" * 64)
    folder, first, rng, largest = open_model_folder(work, facts), date(2026, 1, 1), np.random.default_rng(0), 0
    started = time.perf_counter()
    probabilities = rng.dirichlet(np.full(labels, 0.05), ASKED).astype(np.float32)
    given = one_hot(probabilities.argmax(axis=1), labels)
    nothing = np.zeros(ASKED, bool)
    answers = Answers(probabilities, given, np.where(given, probabilities, 0), given & False, nothing)
    features = rng.random((ASKED, width), np.float32)
    for night in range(NIGHTS):
        day = first + timedelta(days=night)
        counts, sample = Counts.none(labels), Reservoir(width, labels)
        counts.add(answers, int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()))
        sample.add(rng.integers(0, 2**64, ASKED, np.uint64, endpoint=False), features, probabilities)
        write_log_file(folder / new_name(day.isoformat()), LogFile(facts.key, {day: counts}, sample.sample()))
        compact(folder, facts, day)
        largest = max(largest, sum(path.stat().st_size for path in log_files(folder)))
    files = log_files(folder)
    return {
        "width": width,
        "labels": labels,
        "rows": sample.rows,
        "files": len(files),
        "megabytes": sum(path.stat().st_size for path in files) / 1e6,
        "most_megabytes": largest / 1e6,
        "seconds_a_night": (time.perf_counter() - started) / NIGHTS,
    }


def measure(work: Path, base: str, side: int, count: int) -> dict[str, Any]:
    photos = write_images(work / "photos", count, FILE_SIDE)
    files = sorted(photos.glob("*/*.jpg"), key=lambda path: path.name)
    for path in files[:200]:
        link = work / "few" / path.parent.name / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, link)
    rng = np.random.default_rng(0)
    weights = write_weights(work / "weights.safetensors", base, rng.integers(0, 256, (BATCH, side, side, 3), np.uint8))
    config = make_config(work / "few", weights, base, side, None, transfer={"strategy": "linear_probe"})
    run = str(finetune(work, "few", config)["run"])
    batches = costs_of_batches(run, work / "batches", side)
    return {
        "base": base,
        "side": side,
        "images": count,
        "batches": batches,
        "predict": costs_of_predict(run, photos, work / "predict"),
        "year": [size_of_a_year(work / f"year{labels}", batches["width"], labels) for labels in (10, 1000)],
    }


if __name__ == "__main__":
    run_measurement(__doc__, measure, side=96, images=2000)
