"""Weight files: found, checked against their hash, refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest

from tests.models.weights.reading import read
from transfercli.config.schema import FileWeights
from transfercli.errors import ArtefactError, OutOfSpaceError, WeightsError
from transfercli.io.subprocesses import ProcessResult
from transfercli.models.weights import files
from transfercli.reporting import Reporter


def test_another_hash_is_refused(base, tmp_path: Path) -> None:
    base.save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(ArtefactError, match="the config wants 0000"):
        read(tmp_path / "w.weights.h5", base, "0" * 64)


def test_a_missing_file_says_where_it_was_looked_for(base, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.safetensors"):
        read(tmp_path / "gone.safetensors", base)


@pytest.mark.parametrize("name", ["w.weights.h5", "w.safetensors", "w.pkl"])
def test_files_that_are_something_else_are_refused(name: str, base, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04\x95not weights at all")
    with pytest.raises(ArtefactError):
        read(tmp_path / name, base)


@pytest.mark.parametrize(
    "ended, error",
    [
        (ProcessResult(1, "Traceback\nMemoryError\n"), OutOfSpaceError),
        (ProcessResult(-9, ""), OutOfSpaceError),
        (ProcessResult(1, "IoError: No space left on device"), OutOfSpaceError),
        (ProcessResult(-24, ""), ArtefactError),  # SIGXCPU: it was the file that asked for too much
        (ProcessResult(1, "a link to another object or file\n"), ArtefactError),
    ],
)
def test_a_reader_without_room_is_told_from_a_file_that_is_refused(
    ended: ProcessResult, error: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with h5py.File(tmp_path / "w.weights.h5", "w"):
        pass
    monkeypatch.setattr(files, "run_python", lambda *_, **__: ended)
    with pytest.raises(error) as caught:
        files.check_weight_file(FileWeights(path=str(tmp_path / "w.weights.h5")), Reporter())
    assert type(caught.value) is error
    assert caught.value.hint
