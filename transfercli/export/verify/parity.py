"""Parity check of an artefact: a new child process loads it with its own runtime and predicts real images.

The parent writes the inputs to one `.npz` file, the child the outputs to another; both hold arrays and text only, and
are read without pickle.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.data.image import Geometry
from transfercli.export.child import Task, run_child
from transfercli.export.formats.registry import FORMATS
from transfercli.export.spec import ExportSpec
from transfercli.reporting import Reporter

BATCHES = (1, 32)
TIMEOUT = 900.0  # seconds for loading and predicting, so that a hung runtime does not block a cron job
_REPEATS = 7
VERIFY = Task(
    "verify",
    work="load and run the exported artefact",
    late="the exported artefact gave no answer",
    failed="the exported artefact could not be loaded and run",
    hint="this message is from the runtime of the format",
)


@dataclass(frozen=True, slots=True)
class ParityOutput:
    """Outputs of an artefact in the child process.

    probabilities: float32 [N, C], from uint8 tensors. probabilities_bytes: the same from the encoded files. unknown:
    out-of-distribution scores float32 [N] from the tensors, or None.
    labels, thresholds: those stored in the artefact, or None. latency_ms: batch size -> median milliseconds of a call.
    load_seconds: time to import the runtime and load the artefact.
    """

    probabilities: np.ndarray
    probabilities_bytes: np.ndarray
    labels: tuple[str, ...] | None
    latency_ms: dict[int, float]
    load_seconds: float
    unknown: np.ndarray | None = None
    thresholds: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class ParityInput:
    """Inputs of a parity check.

    images: uint8 [N, H, W, 3]. files: the N encoded files of the same images; if empty, PNG files are written.
    """

    images: np.ndarray
    files: tuple[Path, ...]
    spec: ExportSpec


def run_in_child(
    name: str, artefact: Path, inputs: ParityInput, reporter: Reporter, timeout: float = TIMEOUT
) -> ParityOutput:
    """Load `artefact` (a file or folder of format `name`) in a new process and return its outputs for `inputs`.

    Raises `ArtefactError` if the child fails, with the last line of its output, or takes longer than `timeout` seconds,
    and `OutOfSpaceError` if it has too little memory or disk space.
    """
    with tempfile.TemporaryDirectory(prefix="transfercli-verify-") as scratch:
        request, response = Path(scratch, "request.npz"), Path(scratch, "response.npz")
        files = inputs.files or _write_png_files(inputs.images, Path(scratch))
        np.savez(
            request,
            images=inputs.images,
            files=np.array([os.fspath(file.absolute()) for file in files], dtype=np.str_),
            geometry=np.array(json.dumps(astuple(inputs.spec.geometry))),
        )
        arguments: list[str | Path] = [
            "-m",
            "transfercli.export.verify.parity",
            name,
            artefact.absolute(),
            request,
            response,
        ]
        run_child(VERIFY, name, arguments, Path(scratch), reporter, timeout=timeout)
        with np.load(response, allow_pickle=False) as outputs:
            classes, tensors, encoded = (
                len(inputs.spec.labels),
                outputs["probabilities"],
                outputs["probabilities_bytes"],
            )
            scored = inputs.spec.unknown is not None and tensors.shape[1] == inputs.spec.columns
            return ParityOutput(
                tensors[:, :classes] if scored else tensors,
                encoded[:, :classes] if scored else encoded,
                tuple(outputs["labels"].tolist()) if "labels" in outputs else None,
                dict(zip(BATCHES, outputs["latency_ms"].tolist(), strict=True)),
                float(outputs["load_seconds"]),
                tensors[:, classes] if scored else None,
                tuple(outputs["thresholds"].tolist()) if "thresholds" in outputs else None,
            )


def _write_png_files(images: np.ndarray, folder: Path) -> tuple[Path, ...]:
    from PIL import Image

    files = tuple(folder / f"{number:06}.png" for number in range(len(images)))
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image).save(file)
    return files


def _run(name: str, artefact: Path, request: Path, response: Path) -> None:
    """Load and run the artefact; this is the main function of the child process."""
    with np.load(request, allow_pickle=False) as inputs:
        images = inputs["images"]
        files = [Path(file) for file in inputs["files"].tolist()]
        geometry = Geometry(*json.loads(str(inputs["geometry"])))
    started = time.perf_counter()
    loaded = FORMATS[name].read(artefact)
    outputs: dict[str, Any] = {"load_seconds": np.array(time.perf_counter() - started)}
    outputs["probabilities"] = _batched(lambda a, b: loaded.from_tensors(images[a:b]), len(images))
    if loaded.from_encoded is not None:
        encoded = loaded.from_encoded
        predict = lambda a, b: encoded([file.read_bytes() for file in files[a:b]])  # noqa: E731
    else:
        predict = lambda a, b: loaded.from_tensors(_decode(files[a:b], geometry))  # noqa: E731
    outputs["probabilities_bytes"] = _batched(predict, len(files))
    outputs["latency_ms"] = np.array([_latency(loaded.from_tensors, images, size) for size in BATCHES])
    if loaded.labels is not None:
        outputs["labels"] = np.array(loaded.labels, dtype=np.str_)
    if loaded.thresholds is not None:
        outputs["thresholds"] = np.array(loaded.thresholds, dtype=np.float32)
    np.savez(response, **outputs)


def _decode(files: list[Path], geometry: Geometry) -> np.ndarray:
    """Return the pixels of files, uint8 [N, H, W, 3], decoded as in `predict`, for formats that take tensors only."""
    from transfercli.data.decoding.decode import decode_file

    pixels = []
    for file in files:
        decoded = decode_file(str(file), geometry)
        if decoded.pixels is None:
            raise ValueError(f"{file.name}: {decoded.problem}")
        pixels.append(decoded.pixels)
    return np.stack(pixels)


def _batched(call: Callable[[int, int], np.ndarray], total: int) -> np.ndarray:
    size = BATCHES[-1]
    return np.concatenate([call(start, min(start + size, total)) for start in range(0, total, size)])


def _latency(call: Callable[[np.ndarray], np.ndarray], images: np.ndarray, size: int) -> float:
    """Return the median milliseconds of a call on `size` images, after one call that is not measured."""
    batch = images[np.arange(size) % len(images)]
    seconds = []
    for _ in range(_REPEATS + 1):
        started = time.perf_counter()
        call(batch)
        seconds.append(time.perf_counter() - started)
    return 1000 * float(np.median(seconds[1:]))


if __name__ == "__main__":
    _run(sys.argv[1], *map(Path, sys.argv[2:5]))
