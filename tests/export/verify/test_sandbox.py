"""Artefacts from elsewhere answer from a process of their own."""

from __future__ import annotations

import io
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transfercli.errors import ArtefactError, OutOfSpaceError
from transfercli.export.formats.readers import Artefact
from transfercli.export.formats.registry import FORMATS
from transfercli.export.verify import sandbox
from transfercli.export.verify.sandbox import _Child, read_sandboxed


def test_an_artefact_answers_from_another_process_which_ends_with_it(exported: Any, examples: Any) -> None:
    artefact = read_sandboxed("keras", exported.out / "keras" / "model.keras")
    assert artefact.spec is not None
    assert artefact.labels == artefact.spec.labels
    child = artefact.from_tensors.__self__  # type: ignore[attr-defined]
    assert child.process.pid != os.getpid()
    found = np.concatenate([artefact.from_tensors(examples.images[:5]), artefact.from_tensors(examples.images[5:6])])
    assert found.dtype == np.float32
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)
    process = child.process
    del artefact, child
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("code, error", [(3, ArtefactError), (-9, OutOfSpaceError)])
def test_a_runtime_that_ends_is_told(code: int, error: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = f"os.kill(os.getpid(), {-code})" if code < 0 else f"sys.exit({code})"
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\nimport os, sys\n{stop}\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(error) as caught:
        read_sandboxed("keras", tmp_path / "model.keras")
    assert type(caught.value) is error


@pytest.mark.slow
def test_what_a_runtime_cannot_load_is_told_in_its_words(tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(b"no zip")
    with pytest.raises(ArtefactError, match="not a complete Keras file"):
        read_sandboxed("keras", tmp_path / "model.keras")
    with pytest.raises(ArtefactError, match="not a complete SavedModel"):
        read_sandboxed("saved_model", tmp_path)


def test_an_answer_of_another_size_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "python"
    program.write_text(
        f"#!{sys.executable}\nimport os, struct, sys\nsys.stdin.buffer.read(32 + 12)\n"
        "os.write(1, struct.pack('<4q', 9, 2, 0, 0) + bytes(72))\n"
    )
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(ArtefactError, match="ended unexpectedly"):
        _Child("keras", tmp_path).predict(np.zeros((1, 2, 2, 3), np.uint8))


@pytest.mark.parametrize("error, full", [(MemoryError(), True), (RuntimeError("odd\nlines"), False)])
def test_want_of_memory_is_told_from_a_damaged_file(
    error: Exception, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_: Path) -> Artefact:
        raise error

    said: list[dict[str, Any]] = []
    monkeypatch.setitem(FORMATS, "keras", replace(FORMATS["keras"], read=read))
    monkeypatch.setattr(sandbox, "_write_line", lambda _, **words: said.append(words))
    sandbox._load_and_predict("keras", Path("model.keras"), io.BytesIO())
    assert [words["no_room"] for words in said] == [full]
    assert "lines" not in said[0]["error"]

    monkeypatch.setattr(_Child, "__init__", lambda *_: None)
    monkeypatch.setattr(_Child, "greeting", lambda _: said[0])
    with pytest.raises(OutOfSpaceError if full else ArtefactError):
        read_sandboxed("keras", Path("model.keras"))


def test_a_runtime_that_fails_on_a_batch_ends_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: np.ndarray) -> np.ndarray:
        raise RuntimeError("no such kernel\nand much more")

    question = io.BytesIO(sandbox.SIZES.pack(1, 1, 1, 3) + b"rgb")
    monkeypatch.setitem(FORMATS, "keras", replace(FORMATS["keras"], read=lambda _: Artefact(fail)))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(question))
    monkeypatch.setattr(sandbox, "_write_line", lambda *_, **__: None)
    with pytest.raises(SystemExit, match=r"^model\.keras: no such kernel$"):
        sandbox._load_and_predict("keras", Path("model.keras"), io.BytesIO())
