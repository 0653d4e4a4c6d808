"""An artefact from elsewhere answers from a process of its own: whatever its runtime makes of it happens there.

`closed.py` refuses what reaches beyond its graph; this keeps the rest, a runtime's own weaknesses, out of the process
that holds the user's data. Images go to the child's stdin as their sizes and their bytes, probabilities come back the
same way; the child ends when its stdin does.
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

import transfercli
from transfercli.errors import ArtefactError, RoomError, died_of_no_room, no_room
from transfercli.export.formats.readers import Artefact
from transfercli.export.formats.registry import FORMATS
from transfercli.export.spec import MAX_CLASSES, card_text, parsed_card

SIZES = struct.Struct("<4q")  # of a batch [N, H, W, C]; of an answer [N, C, 0, 0]
MAX_GREETING = 64 * 2**20
_LAST_SECONDS = 5.0  # for a process whose pipe has ended to end itself


def read_apart(name: str, path: Path) -> Artefact:
    """The artefact `path` of the format `name`, loaded in a child process; it answers tensors only.

    The process lasts as long as the answer to `from_tensors` is wanted. Raises `ArtefactError` with what its runtime
    says where it cannot be loaded, `RoomError` where memory ran out.
    """
    child = _Child(name, path)
    greeting = child.greeting()
    if "error" in greeting:
        raise (RoomError if greeting.get("no_room") else ArtefactError)(greeting["error"], greeting["hint"])
    card, labels = greeting["card"], greeting["labels"]
    return Artefact(
        child.answer, labels=tuple(labels) if labels else None, spec=parsed_card(card) if card is not None else None
    )


class _Child:
    """The process; it ends when nobody holds this object any more."""

    def __init__(self, name: str, path: Path) -> None:
        self.path = path
        package = os.fspath(Path(transfercli.__file__).parent.parent)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "transfercli.export.verify.sandbox", name, os.fspath(path.absolute())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))},
            process_group=0,  # Ctrl-C reaches the parent alone, which stops between two answers
        )
        self.end = weakref.finalize(self, _end, self.process)

    def greeting(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        try:
            return dict(json.loads(self.process.stdout.readline(MAX_GREETING)))
        except ValueError:
            raise self._ended() from None

    def answer(self, images: np.ndarray) -> np.ndarray:
        """uint8 [N, H, W, 3] -> float32 [N, C]."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(SIZES.pack(*images.shape))
            self.process.stdin.write(np.ascontiguousarray(images, np.uint8).data)
            self.process.stdin.flush()
            count, classes, *_ = SIZES.unpack(_exactly(self.process.stdout, SIZES.size))
            if count != len(images) or not 0 < classes <= MAX_CLASSES:
                raise EOFError
            content = _exactly(self.process.stdout, 4 * count * classes)
        except (OSError, EOFError):
            raise self._ended() from None
        return np.frombuffer(content, np.float32).reshape(count, classes)

    def _ended(self) -> ArtefactError | RoomError:
        try:
            code: int | None = self.process.wait(_LAST_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        self.end()
        if code is not None and died_of_no_room(code, ""):
            what = f"there was not enough memory to load {self.path.name} and run it"
            return RoomError(what, "free some and start the same command again")
        return ArtefactError(f"{self.path.name} ended its runtime (exit status {code})", "export the run again")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # what was never sent cannot be flushed
            if pipe is not None:
                pipe.close()


def _exactly(file: IO[bytes], size: int) -> bytes:
    content = file.read(size)
    if len(content) != size:
        raise EOFError
    return content


# -- the child's side


def _serve(name: str, path: Path) -> None:
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what a runtime prints is no answer
        _converse(name, path, answers)


def _converse(name: str, path: Path, answers: IO[bytes]) -> None:
    from transfercli.training.backend import startup_messages_hidden

    try:
        with startup_messages_hidden():
            artefact = FORMATS[name].read(path)
    except ArtefactError as error:
        _say(answers, error=error.message, hint=error.hint)
        return
    except Exception as error:  # five runtimes have as many classes for a damaged file
        full = no_room(error)
        hint = "free some memory and start the same command again" if full else "export the run again"
        _say(answers, error=f"{path} cannot be loaded: {_first_line(error)}", hint=hint, no_room=full)
        return
    _say(answers, labels=artefact.labels, card=card_text(artefact.spec) if artefact.spec else None)
    try:
        _answer_all(artefact, answers)
    except Exception as error:  # one line of the runtime's own; the parent knows what it means
        sys.exit(f"{path.name}: {_first_line(error)}")


def _answer_all(artefact: Artefact, answers: IO[bytes]) -> None:
    questions = sys.stdin.buffer
    while head := questions.read(SIZES.size):
        shape = SIZES.unpack(head)
        images = np.frombuffer(_exactly(questions, int(np.prod(shape))), np.uint8).reshape(shape)
        probabilities = np.ascontiguousarray(artefact.from_tensors(images), np.float32)
        answers.write(SIZES.pack(*probabilities.shape, 0, 0))
        answers.write(probabilities.data)
        answers.flush()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _say(answers: IO[bytes], **words: Any) -> None:
    answers.write(json.dumps(words).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    _serve(sys.argv[1], Path(sys.argv[2]))
