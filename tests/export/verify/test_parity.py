"""Answers of an artefact in a process of its own."""

from __future__ import annotations

import pytest

from tests.listener import Listener
from transfercli.errors import ArtefactError, OutOfSpaceError
from transfercli.export.child import run_child
from transfercli.export.verify import parity
from transfercli.export.verify.parity import ParityInput, run_in_child
from transfercli.io import subprocesses
from transfercli.reporting import Reporter


@pytest.mark.slow
def test_damaged_artefact_is_an_error_with_the_runtime_s_own_words(exported, examples, spec, tmp_path):
    damaged = tmp_path / "model.keras"
    content = (exported.out / "keras" / "model.keras").read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    with pytest.raises(ArtefactError, match=r"could not be loaded and run: .*zip"):
        run_in_child("keras", damaged, ParityInput(examples.images, examples.files, spec), Reporter())


@pytest.mark.parametrize(
    "code, error",
    [
        ("raise MemoryError", OutOfSpaceError),
        ("raise OSError(28, os.strerror(28))", OutOfSpaceError),
        ("sys.exit('terminate called after throwing an instance of std::bad_alloc')", OutOfSpaceError),
        ("os.kill(os.getpid(), 9)", OutOfSpaceError),
        ("sys.exit('no such operation')", ArtefactError),
    ],
)
def test_child_without_room_is_told_from_a_damaged_artefact(tmp_path, code, error):
    with pytest.raises(error, match="keras: ") as caught:
        run_child(parity.VERIFY, "keras", ["-c", f"import os, sys; {code}"], tmp_path, Reporter(), timeout=60.0)
    assert type(caught.value) is error


def test_child_that_never_answers_is_ended(exported, examples, spec):
    with pytest.raises(ArtefactError, match="no answer within 0 seconds"):
        run_in_child(
            "keras",
            exported.out / "keras" / "model.keras",
            ParityInput(examples.images, (), spec),
            Reporter(),
            timeout=0.0,
        )


def test_wish_to_stop_ends_the_child(exported, examples, spec, monkeypatch):
    children, stopped = [], Listener(stop_at=lambda _: True, error=KeyboardInterrupt())
    popen = subprocesses.subprocess.Popen
    monkeypatch.setattr(
        subprocesses.subprocess, "Popen", lambda *a, **k: children.append(popen(*a, **k)) or children[-1]
    )
    with pytest.raises(KeyboardInterrupt):
        run_in_child("keras", exported.out / "keras" / "model.keras", ParityInput(examples.images, (), spec), stopped)
    assert children[0].poll() is not None
