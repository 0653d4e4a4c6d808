"""Files of an answer log: one a process and day, each with counts and a sample, whole or absent.

A file is of one model. Its tensors are those of the sample, and `facts`, JSON with the counts of each day. A file that
was made of others names them, so that none is counted twice if a process was killed before it removed them.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from transfercli.errors import ArtefactError
from transfercli.evaluation.monitoring.counts import Counts
from transfercli.evaluation.monitoring.reservoir import NO_LIMIT, Sample
from transfercli.io import atomic
from transfercli.io.bounded import parse_json
from transfercli.models.weights.safetensors_reader import read_safetensors

FORMAT = 1
SUFFIX = ".safetensors"
NAME = re.compile(r"\d{4}-\d{2}(-\d{2})?\.[0-9a-f]{16}\.safetensors")  # the day or month, and the process
MAX_BYTES = 64 * 2**20
TENSORS = {"keys": np.uint64, "times": np.int64, "features": np.float32, "probabilities": np.float32}
HINT = "remove the file: the others can be read without it"


@dataclass(frozen=True, eq=False)
class LogFile:
    """Content of a file.

    model: key of the model. days: counts of each UTC day. sample: of all these days. holds: names of the files that it
    was made of.
    """

    model: str
    days: Mapping[date, Counts]
    sample: Sample
    holds: tuple[str, ...] = ()


def write_log_file(path: Path, content: LogFile) -> None:
    """Write a file atomically. Raises `DiskError` or `UsageError` if that fails."""
    sample = content.sample
    facts = {
        "format": FORMAT,
        "model": content.model,
        "limit": f"{sample.limit:016x}",
        "holds": list(content.holds),
        "days": {day.isoformat(): counts.as_json() for day, counts in sorted(content.days.items())},
    }
    tensors = {
        "facts": np.frombuffer(json.dumps(facts, separators=(",", ":")).encode(), np.uint8),
        "features": np.ascontiguousarray(sample.features),
        "keys": sample.keys,
        "probabilities": np.ascontiguousarray(sample.probabilities),
        "times": sample.times,
    }
    atomic.write_bytes(path, safetensors.numpy.save(tensors))


def read_log_file(path: Path, model: str, labels: int) -> LogFile:
    """Read a file from an untrusted source, of a model with so many labels.

    Raises `ArtefactError` if it is damaged or of another model, `FileNotFoundError` if it does not exist.
    """
    info = path.lstat()
    if not stat.S_ISREG(info.st_mode):
        raise ArtefactError(f"{path.name} is not a regular file", HINT)
    if info.st_size > MAX_BYTES:
        raise ArtefactError(f"{path.name} has {info.st_size} bytes; at most {MAX_BYTES} are read", HINT)
    try:
        tensors = read_safetensors(path)
    except ArtefactError as error:
        raise ArtefactError(error.message, HINT) from error
    try:
        facts = parse_json(tensors["facts"].tobytes())
        if facts["format"] != FORMAT:
            raise ValueError(f"its format is {facts['format']!r}, and this version reads {FORMAT}")
        if facts["model"] != model:
            raise ValueError(f"it is of the model {facts['model']!r}, and its folder of {model}")
        days = {date.fromisoformat(day): Counts.from_json(counts, labels) for day, counts in facts["days"].items()}
        holds = tuple(name for name in facts["holds"] if NAME.fullmatch(name))
        keys, times, features, probabilities = (tensors[name] for name in TENSORS)
        sample = Sample(keys, times, features, probabilities, _limit_of(facts))
        _check_sample(sample, labels, sum(counts.images for counts in days.values()))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ArtefactError(f"{path.name} is damaged: {error}", HINT) from error
    return LogFile(model, days, sample, holds)


def _limit_of(facts: Mapping[str, Any]) -> int:
    """Return the limit of the sample. Raises `ValueError` if it is no key."""
    limit = int(facts["limit"], 16)
    if not 0 <= limit <= NO_LIMIT:
        raise ValueError("the limit of its sample is no key")
    return limit


def _check_sample(sample: Sample, labels: int, images: int) -> None:
    """Raise `ValueError` if tensors have other types or shapes, or contradict each other."""
    rows = len(sample.keys)
    shapes = {"keys": (rows,), "times": (rows,), "features": (rows, -1), "probabilities": (rows, labels)}
    for name, kind in TENSORS.items():
        tensor, shape = getattr(sample, name), shapes[name]
        fits = tensor.ndim == len(shape) and all(
            size in (-1, own) for size, own in zip(shape, tensor.shape, strict=True)
        )
        if tensor.dtype != kind or not fits:
            raise ValueError(f"its {name} are {tensor.dtype} {list(tensor.shape)}")
        if kind == np.float32 and not np.isfinite(tensor).all():
            raise ValueError(f"its {name} are not finite")
    if (sample.keys[1:] <= sample.keys[:-1]).any() or (rows and int(sample.keys[-1]) > sample.limit):
        raise ValueError("its keys are not in order")
    if (sample.times < 1).any() or int(sample.times.sum()) > images:
        raise ValueError(f"its sample is of more images than the {images} that there were")
