"""An artefact proves itself: a fresh child process loads it with its own runtime and answers on real images.

The parent writes the question to one `.npz` (arrays and text only, never pickled), the child the answer to another.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.errors import ArtefactError, RoomError
from transfercli.export.formats.registry import FORMATS
from transfercli.export.spec import ExportSpec
from transfercli.io.subprocesses import run_python
from transfercli.reporting import Reporter

BATCHES = (1, 32)
TIMEOUT = 900.0  # seconds for loading and answering; a hung runtime must not hang a cron job
_REPEATS = 7


@dataclass(frozen=True, slots=True)
class ParityOutput:
    """What an artefact said.

    probabilities: float32 [N, C] on the uint8 tensors. probabilities_bytes: the same from the encoded files.
    labels: as the artefact holds them, or None. latency_ms: batch size -> median milliseconds of a call.
    load_seconds: importing the runtime and loading.
    """

    probabilities: np.ndarray
    probabilities_bytes: np.ndarray
    labels: tuple[str, ...] | None
    latency_ms: dict[int, float]
    load_seconds: float


@dataclass(frozen=True, slots=True)
class ParityInput:
    """images: uint8 [N, H, W, 3]. files: their N encoded files in the same order, or none: then PNG files are made."""

    images: np.ndarray
    files: tuple[Path, ...]
    spec: ExportSpec


def run_in_child(
    name: str, artefact: Path, question: ParityInput, reporter: Reporter, timeout: float = TIMEOUT
) -> ParityOutput:
    """Load `artefact` (a file or folder of format `name`) in a fresh process and put `question` to it.

    Raises `ArtefactError` where the child fails, with the last line it wrote, or where it takes longer than `timeout`
    seconds, and `RoomError` where it had too little memory.
    """
    with tempfile.TemporaryDirectory(prefix="transfercli-verify-") as scratch:
        request, response = Path(scratch, "request.npz"), Path(scratch, "response.npz")
        files = question.files or _png_files(question.images, Path(scratch))
        np.savez(
            request,
            images=question.images,
            files=np.array([os.fspath(file.absolute()) for file in files], dtype=np.str_),
            image_size=np.array(question.spec.image_size),
            resize=np.array(question.spec.resize),
        )
        arguments: list[str | Path] = [
            "-m",
            "transfercli.export.verify.parity",
            name,
            artefact.absolute(),
            request,
            response,
        ]
        _run_child(name, arguments, Path(scratch), reporter, timeout)
        with np.load(response, allow_pickle=False) as answer:
            return ParityOutput(
                answer["probabilities"],
                answer["probabilities_bytes"],
                tuple(answer["labels"].tolist()) if "labels" in answer else None,
                dict(zip(BATCHES, answer["latency_ms"].tolist(), strict=True)),
                float(answer["load_seconds"]),
            )


def _png_files(images: np.ndarray, folder: Path) -> tuple[Path, ...]:
    from PIL import Image

    files = tuple(folder / f"{number:06}.png" for number in range(len(images)))
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image).save(file)
    return files


def _run_child(name: str, arguments: list[str | Path], scratch: Path, reporter: Reporter, timeout: float) -> None:
    stage = f"verify {name}"
    try:
        tick = partial(reporter.progress, stage, 0, 1, "artefacts")
        ended = run_python(arguments, scratch, timeout=timeout, tick=tick)
    except TimeoutError:
        raise ArtefactError(
            f"{name}: the exported artefact gave no answer within {timeout:.0f} seconds",
            "look at the machine's load and start the same command again",
        ) from None
    reporter.progress(stage, 1, 1, "artefacts")
    if ended.had_no_room:
        raise RoomError(
            f"{name}: there was not enough memory or disk to load the exported artefact and run it again",
            "free some and start the same command again; the run itself is unharmed",
        )
    if ended.returncode:
        last = ended.last_line or f"no message, exit status {ended.returncode}"
        raise ArtefactError(
            f"{name}: the exported artefact could not be loaded and run again: {last}",
            "this is the artefact's own runtime speaking; the run itself is unharmed",
        )


def _answer(name: str, artefact: Path, request: Path, response: Path) -> None:
    """The child's side."""
    with np.load(request, allow_pickle=False) as question:
        images = question["images"]
        files = [Path(file) for file in question["files"].tolist()]
        spec = ExportSpec((), tuple(question["image_size"].tolist()), str(question["resize"]))
    started = time.perf_counter()
    loaded = FORMATS[name].read(artefact)
    found: dict[str, Any] = {"load_seconds": np.array(time.perf_counter() - started)}
    found["probabilities"] = _batched(lambda a, b: loaded.from_tensors(images[a:b]), len(images))
    if loaded.from_encoded is not None:
        encoded = loaded.from_encoded
        read = lambda a, b: encoded([file.read_bytes() for file in files[a:b]])  # noqa: E731
    else:
        read = lambda a, b: loaded.from_tensors(_decoded(files[a:b], spec))  # noqa: E731
    found["probabilities_bytes"] = _batched(read, len(files))
    found["latency_ms"] = np.array([_latency(loaded.from_tensors, images, size) for size in BATCHES])
    if loaded.labels is not None:
        found["labels"] = np.array(loaded.labels, dtype=np.str_)
    np.savez(response, **found)


def _decoded(files: list[Path], spec: ExportSpec) -> np.ndarray:
    """For formats that take tensors only: the decoder that `predict` puts before them."""
    from transfercli.data.decoding.decode import decode_file
    from transfercli.data.image import Geometry

    geometry = Geometry(*spec.image_size, spec.resize)
    pixels = []
    for file in files:
        found = decode_file(str(file), geometry)
        if found.pixels is None:
            raise ValueError(f"{file.name}: {found.problem}")
        pixels.append(found.pixels)
    return np.stack(pixels)


def _batched(call: Callable[[int, int], np.ndarray], total: int) -> np.ndarray:
    size = BATCHES[-1]
    return np.concatenate([call(start, min(start + size, total)) for start in range(0, total, size)])


def _latency(call: Callable[[np.ndarray], np.ndarray], images: np.ndarray, size: int) -> float:
    """Median milliseconds of a call on `size` images, after one that does not count."""
    batch = images[np.arange(size) % len(images)]
    seconds = []
    for _ in range(_REPEATS + 1):
        started = time.perf_counter()
        call(batch)
        seconds.append(time.perf_counter() - started)
    return 1000 * float(np.median(seconds[1:]))


if __name__ == "__main__":
    _answer(sys.argv[1], *map(Path, sys.argv[2:5]))
