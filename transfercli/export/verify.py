"""An artefact proves itself: a fresh child process loads it with its own runtime and answers on real images.

The parent writes the question to one `.npz` (arrays and text only, never pickled), the child the answer to another.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import transfercli
from transfercli.errors import ArtefactError, RoomError, died_of_no_room
from transfercli.events import Events
from transfercli.export.formats import FORMATS
from transfercli.export.spec import ExportSpec

BATCHES = (1, 32)
TIMEOUT = 900.0  # seconds for loading and answering; a hung runtime must not hang a cron job
_REPEATS = 7
_POLL = 0.2  # seconds between two looks at the child, and at a wish to stop


@dataclass(frozen=True, slots=True)
class Answer:
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
class Question:
    """images: uint8 [N, H, W, 3]. files: their N encoded files in the same order, or none: then PNG files are made."""

    images: np.ndarray
    files: tuple[Path, ...]
    spec: ExportSpec


def ask(name: str, artefact: Path, question: Question, events: Events, timeout: float = TIMEOUT) -> Answer:
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
        command = [sys.executable, "-m", "transfercli.export.verify", name, str(artefact.absolute()), request, response]
        _run_child(name, command, Path(scratch), events, timeout)
        with np.load(response, allow_pickle=False) as answer:
            return Answer(
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


def _run_child(name: str, command: list, scratch: Path, events: Events, timeout: float) -> None:
    """Run the child in `scratch`, so that no module in the user's folder is imported instead of the runtime's."""
    package = os.fspath(Path(transfercli.__file__).parent.parent)
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "PYTHONPATH": path}
    log = scratch / "stderr.txt"
    with log.open("wb") as stderr:
        child = subprocess.Popen(
            [os.fspath(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            cwd=scratch,
            env=environment,
            process_group=0,  # Ctrl-C reaches the parent alone, which stops at the next `progress`
        )
        started = time.monotonic()
        try:
            while child.poll() is None:
                events.progress(f"verify {name}", 0, 1, "artefacts")
                if time.monotonic() - started > timeout:
                    raise ArtefactError(
                        f"{name}: the exported artefact gave no answer within {timeout:.0f} seconds",
                        "look at the machine's load and start the same command again",
                    )
                time.sleep(_POLL)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    events.progress(f"verify {name}", 1, 1, "artefacts")
    if child.returncode:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if died_of_no_room(child.returncode, "\n".join(said)):
            raise RoomError(
                f"{name}: there was not enough memory or disk to load the exported artefact and run it again",
                "free some and start the same command again; the run itself is unharmed",
            )
        last = said[-1].strip() if said else f"no message, exit status {child.returncode}"
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
    from transfercli.data.decode import Geometry, decode_file

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
