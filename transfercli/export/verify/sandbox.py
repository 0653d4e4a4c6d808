"""Prediction with untrusted artefacts in a child process.

`saved_model_check.py` refuses artefacts with access outside their graph; the child process isolates the user's data
from weaknesses of the runtime itself. Images are sent to the child's stdin as shape and bytes, probabilities are
returned on its stdout in the same way; the child ends when its stdin is closed.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import weakref
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from transfercli.errors import ArtefactError, OutOfSpaceError, child_ran_out_of_space, is_out_of_space
from transfercli.export.formats.readers import Artefact
from transfercli.export.formats.registry import FORMATS
from transfercli.export.spec import MAX_CLASSES, card_text, parse_card
from transfercli.io.subprocesses import child_environment
from transfercli.text import first_line

SIZES = struct.Struct("<4q")  # the shape of a batch [N, H, W, C], or of probabilities [N, C, 0, 0]
MAX_GREETING = 64 * 2**20
_EXIT_SECONDS = 5.0  # to wait for the exit status of a process whose pipe is closed


def read_sandboxed(name: str, path: Path) -> Artefact:
    """Load the artefact `path` of format `name` in a child process; the result takes tensors only.

    The process ends when the result is no longer referenced. Raises `ArtefactError` with the runtime's message if the
    artefact cannot be loaded, and `OutOfSpaceError` if there is too little memory.
    """
    child = _Child(name, path)
    greeting = child.greeting()
    if "error" in greeting:
        raise (OutOfSpaceError if greeting.get("no_room") else ArtefactError)(greeting["error"], greeting["hint"])
    card, labels = greeting["card"], greeting["labels"]
    return Artefact(
        child.predict, labels=tuple(labels) if labels else None, spec=parse_card(card) if card is not None else None
    )


class _Child:
    """The child process; it ends when this object is garbage-collected."""

    def __init__(self, name: str, path: Path) -> None:
        self.path = path
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "transfercli.export.verify.sandbox", name, os.fspath(path.absolute())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(),
            process_group=0,  # Ctrl-C reaches the parent only, which stops between two batches
        )
        self.end = weakref.finalize(self, _end, self.process)

    def greeting(self) -> dict[str, Any]:
        """Return the first line of the child's output: labels and card, or the error of loading."""
        assert self.process.stdout is not None
        try:
            return dict(json.loads(self.process.stdout.readline(MAX_GREETING)))
        except ValueError:
            raise self._exit_error() from None

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return outputs float32 [N, C], or [N, C + 1] with the score, for images uint8 [N, H, W, 3]."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(SIZES.pack(*images.shape))
            self.process.stdin.write(np.ascontiguousarray(images, np.uint8).data)
            self.process.stdin.flush()
            count, classes, *_ = SIZES.unpack(_read_exactly(self.process.stdout, SIZES.size))
            if count != len(images) or not 0 < classes <= MAX_CLASSES:
                raise EOFError
            content = _read_exactly(self.process.stdout, 4 * count * classes)
        except (OSError, EOFError):
            raise self._exit_error() from None
        return np.frombuffer(content, np.float32).reshape(count, classes)

    def _exit_error(self) -> ArtefactError | OutOfSpaceError:
        """End the process, and return the error for its exit status."""
        try:
            code: int | None = self.process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        self.end()
        if code is not None and child_ran_out_of_space(code, ""):
            message = f"there was not enough memory to load {self.path.name} and run it"
            return OutOfSpaceError(message, "free some and run the same command again")
        return ArtefactError(
            f"the runtime of {self.path.name} ended unexpectedly (exit status {code})", "export the run again"
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # unsent bytes cannot be flushed any more
            if pipe is not None:
                pipe.close()


def _read_exactly(file: IO[bytes], size: int) -> bytes:
    content = file.read(size)
    if len(content) != size:
        raise EOFError
    return content


# -- functions of the child process


def _serve(name: str, path: Path) -> None:
    with os.fdopen(os.dup(1), "wb") as output:
        os.dup2(2, 1)  # what the runtime prints goes to stderr
        _load_and_predict(name, path, output)


def _load_and_predict(name: str, path: Path, output: IO[bytes]) -> None:
    from transfercli.training.backend import startup_messages_hidden

    try:
        with startup_messages_hidden():
            artefact = FORMATS[name].read(path)
    except ArtefactError as error:
        _write_line(output, error=error.message, hint=error.hint)
        return
    except Exception as error:  # every runtime has its own exception for a damaged file
        full = is_out_of_space(error)
        hint = "free some memory and run the same command again" if full else "export the run again"
        _write_line(output, error=f"{path} cannot be loaded: {first_line(error)}", hint=hint, no_room=full)
        return
    _write_line(output, labels=artefact.labels, card=card_text(artefact.spec) if artefact.spec else None)
    try:
        _predict_all(artefact, output)
    except Exception as error:  # one line of the runtime's message; the parent adds the explanation
        sys.exit(f"{path.name}: {first_line(error)}")


def _predict_all(artefact: Artefact, output: IO[bytes]) -> None:
    requests = sys.stdin.buffer
    while head := requests.read(SIZES.size):
        shape = SIZES.unpack(head)
        images = np.frombuffer(_read_exactly(requests, int(np.prod(shape))), np.uint8).reshape(shape)
        probabilities = np.ascontiguousarray(artefact.from_tensors(images), np.float32)
        output.write(SIZES.pack(*probabilities.shape, 0, 0))
        output.write(probabilities.data)
        output.flush()


def _write_line(output: IO[bytes], **values: Any) -> None:
    output.write(json.dumps(values).encode() + b"\n")
    output.flush()


if __name__ == "__main__":
    _serve(sys.argv[1], Path(sys.argv[2]))
