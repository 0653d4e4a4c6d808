"""Files of answer logs, of images that a seed decides."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np

from transfercli.evaluation.monitoring.compaction import new_name
from transfercli.evaluation.monitoring.counts import Answers, Counts, one_hot
from transfercli.evaluation.monitoring.log_files import LogFile, write_log_file
from transfercli.evaluation.monitoring.model_facts import ModelFacts
from transfercli.evaluation.monitoring.reservoir import Reservoir

LABELS = ("cat", "dog", "hen")
FACTS = ModelFacts("pets/night-1", "run", LABELS, "one label", {"height": 4, "width": 4}, "ab" * 32)
WIDTH = 5


def answers(images: int, seed: int) -> Answers:
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(len(LABELS)), images).astype(np.float32)
    given = one_hot(probabilities.argmax(axis=1), len(LABELS))
    nothing = np.zeros(images, bool)
    return Answers(probabilities, given, np.where(given, probabilities, 0), np.zeros_like(given), nothing)


def log_file(day: date, images: int, seed: int, *, rows: int | None = None, width: int = WIDTH) -> LogFile:
    """Return the file of a process: answers to images whose keys the seed decides."""
    counts, given = Counts.none(len(LABELS)), answers(images, seed)
    counts.add(given, 1000 + seed)
    reservoir, rng = Reservoir(width, len(LABELS), rows), np.random.default_rng([seed, 1])
    keys = rng.integers(0, 2**64, images, np.uint64, endpoint=False)
    reservoir.add(keys, rng.random((images, width), np.float32) if width else None, given.probabilities)
    return LogFile(FACTS.key, {day: counts}, reservoir.sample())


def written(folder: Path, day: date, images: int, seed: int, **options: int) -> Path:
    """Write the file of a process into a model's folder."""
    path = folder / new_name(day.isoformat())
    write_log_file(path, log_file(day, images, seed, **options))
    return path
