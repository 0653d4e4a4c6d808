"""Process that computes the batches of one loaded model, for the server that started it.

Usage: python -m transfercli.workflows.serve.model_process PARENT LOCATION [features], with a socket as stdin.

A crash of native code, or memory that runs out, ends this process and not the server. An artefact is loaded in it as
it is: this process is the sandbox that `predict` has, too. It ends when the socket is closed, and with its parent.

First it sends a JSON line, a `Greeting` or an `error`. Then, for each batch: it reads the number of images and their
pixels, and sends a JSON line that names the arrays of a `ModelOutput`, followed by their bytes.
"""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from transfercli.errors import TransferError, as_facts, is_out_of_space
from transfercli.io.parent import exit_with_parent
from transfercli.reporting import Reporter
from transfercli.text import first_line
from transfercli.workflows.predict.loadable import with_features
from transfercli.workflows.predict.predictions import padded

if TYPE_CHECKING:
    from transfercli.export.formats.readers import Artefact
    from transfercli.workflows.predict.loadable import LoadableModel, ModelOutput, PredictBatch

COUNT = struct.Struct("<I")
FEATURES = "features"
LONG_SECONDS = 0.3  # of one batch
WARM_SECONDS = 0.1  # of the warm-up, for a runtime that compiles nothing


@dataclass(frozen=True)
class Greeting:
    """Facts of a loaded model.

    geometry: fields of the `Geometry` of its images. batch_size: the most images of a batch. seconds: of a forward
    pass, as measured: (number of images, seconds). warnings: that a person should read.
    """

    labels: tuple[str, ...]
    geometry: tuple[Any, ...]
    several: bool
    has_numbers: bool
    batch_size: int
    seconds: tuple[tuple[int, float], ...]
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Greeting:
        """Return the greeting of a JSON object, whose lists become tuples."""
        return cls(**{name: _as_tuples(value) for name, value in facts.items()})


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def main() -> None:
    """Load a model, warm it up, and compute batches until the socket is closed."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the server answers the requests under way before it ends
        signal.signal(number, signal.SIG_IGN)
    exit_with_parent(int(sys.argv[1]))
    os.dup2(2, 1)  # libraries may print
    connection = socket.socket(fileno=os.dup(0))
    try:
        model, predict, greeting = _load(Path(sys.argv[2]), features=FEATURES in sys.argv[3:])
    except TransferError as error:
        _send_line(connection, {"error": as_facts(error)})
        return
    except Exception as error:  # each runtime has errors of its own for a damaged file
        kind = "OutOfSpaceError" if is_out_of_space(error) else "ArtefactError"
        facts = {"class": kind, "message": f"it cannot be loaded: {first_line(error)}", "hint": None}
        _send_line(connection, {"error": facts})
        return
    _send_line(connection, greeting.as_json())
    with connection.makefile("rb") as source:
        _compute_all(source, connection, predict, model.geometry.shape)
    os._exit(0)  # a runtime may take long to end its threads


def _load(location: Path, *, features: bool) -> tuple[LoadableModel, PredictBatch, Greeting]:
    """Return a model, its forward pass, and what the server is to know of it.

    features: True if its output is to have features, if it has any.
    """
    warned = _Warnings()
    model = _find(location, warned)
    if features:
        model = with_features(model)
    if reason := model.always_abstaining():
        warned.warning(f"it abstains from every image: {reason}")
    predict = model.load()
    batch_size = model.batch_size()
    seconds = _warm_up(predict, model.geometry.shape, batch_size, math.inf if model.compiles else WARM_SECONDS)
    geometry = astuple(model.geometry)
    facts = model.labels, geometry, model.several, model.has_numbers, batch_size, seconds, tuple(warned.texts)
    return model, predict, Greeting(*facts)


class _Warnings(Reporter):
    """Reporter that keeps warnings, for the server to show."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def warning(self, text: str) -> None:
        self.texts.append(text)


def _find(location: Path, reporter: Reporter) -> LoadableModel:
    """Return the run or the artefact at a path; only the runtime of one of them is imported."""
    from transfercli.workflows.predict.artefact_models import find_artefact, from_artefact

    if artefact := find_artefact(location):
        return from_artefact(*artefact, _read)
    from transfercli.workflows.predict.predictors import find_model

    return find_model(os.fspath(location), location.parent.parent, reporter)


def _read(name: str, path: Path) -> Artefact:
    """Load an artefact in this process, which is its sandbox."""
    from transfercli.export.formats.registry import FORMATS
    from transfercli.training.backend import startup_messages_hidden

    with startup_messages_hidden():
        return FORMATS[name].read(path)


def _warm_up(
    predict: PredictBatch, shape: tuple[int, int, int], most: int, budget: float
) -> tuple[tuple[int, float], ...]:
    """Compute batches of each size that requests will have, and return (images, seconds) of each.

    The first time a runtime compiles the graph for a size, and no request is to wait for that. budget: seconds after
    which no larger size is computed.
    """
    measured: list[tuple[int, float]] = []
    started = time.perf_counter()
    for size in _powers_of_two(most):
        if measured and time.perf_counter() - started > budget:
            break
        images = np.zeros((size, *shape), np.uint8)
        seconds = _seconds(predict, images)
        # Once more without the compilation, unless that takes long: the batches to come are measured, too.
        measured.append((size, seconds if seconds > LONG_SECONDS else _seconds(predict, images)))
    return tuple(measured)


def _seconds(predict: PredictBatch, images: np.ndarray) -> float:
    began = time.perf_counter()
    predict(images)
    return time.perf_counter() - began


def _powers_of_two(most: int) -> Sequence[int]:
    return [1 << power for power in range((most - 1).bit_length() + 1)]


def _compute_all(
    source: BinaryIO, connection: socket.socket, predict: PredictBatch, shape: tuple[int, int, int]
) -> None:
    while head := source.read(COUNT.size):
        images = np.empty((*COUNT.unpack(head), *shape), np.uint8)
        if not _read_into(source, images.data.cast("B")):
            return
        began = time.perf_counter()
        try:
            output = predict(padded(images))
        except Exception as error:  # of the runtime, or numbers that are not finite
            _send_line(connection, {"failed": first_line(error)})
            continue
        _send_output(connection, output, len(images), time.perf_counter() - began)


def _read_into(source: BinaryIO, buffer: memoryview) -> bool:
    """Fill a buffer; return False if the socket was closed before."""
    while buffer:
        read = source.readinto(buffer)  # type: ignore[attr-defined]
        if not read:
            return False
        buffer = buffer[read:]
    return True


def _send_output(connection: socket.socket, output: ModelOutput, count: int, seconds: float) -> None:
    """Send the arrays of an output for the first `count` images; those that are None are left out."""
    present = {field.name: getattr(output, field.name) for field in fields(output)}
    arrays = {
        name: np.ascontiguousarray(np.asarray(value)[:count]) for name, value in present.items() if value is not None
    }
    described = [(name, value.dtype.str, value.shape) for name, value in arrays.items()]
    content = b"".join(value.tobytes() for value in arrays.values())
    line = json.dumps({"seconds": seconds, "bytes": len(content), "arrays": described}).encode()
    connection.sendall(line + b"\n" + content)


def _send_line(connection: socket.socket, content: dict[str, Any]) -> None:
    connection.sendall(json.dumps(content).encode() + b"\n")


if __name__ == "__main__":
    main()
