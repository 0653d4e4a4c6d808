"""Weight files: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import safetensors.numpy

from transfercli.config.schema import FileWeights
from transfercli.errors import ArtefactError, OutOfSpaceError, WeightsError
from transfercli.io.subprocesses import ProcessResult
from transfercli.models.weights import files
from transfercli.reporting import Reporter


@pytest.fixture(scope="module")
def base():
    from transfercli.models.classifier import build_base

    return build_base("small_cnn", (32, 32), 3)


def read(path: Path, base, sha256: str | None = None):
    from transfercli.models.weights.pretrained import file_tensors

    return file_tensors(FileWeights(path=str(path), sha256=sha256), base, Reporter())


def write_keras(base, path: Path) -> None:
    base.save_weights(path) if path.name.endswith(".weights.h5") else base.save(path)


@pytest.mark.parametrize("name", ["w.weights.h5", "legacy_notop.h5", "w.safetensors"])
def test_every_kind_of_file_gives_the_tensors_back(name: str, base, tmp_path: Path) -> None:
    from transfercli.io.checksum import file_sha256
    from transfercli.models.weights.pretrained import base_tensors

    expected = base_tensors(base)
    path = tmp_path / name
    if name.endswith(".safetensors"):
        safetensors.numpy.save_file({k.removeprefix("base/"): v for k, v in expected.items()}, path)
    else:
        write_keras(base, path)
    found = read(path, base, file_sha256(path))
    assert found.keys() == expected.keys()
    assert all((found[key] == expected[key]).all() for key in expected)


def test_another_hash_is_refused(base, tmp_path: Path) -> None:
    base.save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(ArtefactError, match="the config wants 0000"):
        read(tmp_path / "w.weights.h5", base, "0" * 64)


def test_a_missing_file_says_where_it_was_looked_for(base, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.safetensors"):
        read(tmp_path / "gone.safetensors", base)


def test_imagenet_without_a_network_names_the_file_to_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    from transfercli.models.weights import pretrained

    def fail(*_: object) -> None:
        raise Exception("URL fetch failure on https://example.org/a/vgg16_notop.h5: None -- no network")

    monkeypatch.setattr(pretrained, "build_base", fail)
    with pytest.raises(WeightsError, match=r"vgg16_notop\.h5") as caught:
        pretrained.imagenet_tensors("vgg16", (32, 32))
    assert "vgg16_notop.h5" in str(caught.value.hint)


def test_imagenet_for_a_base_without_published_weights_says_so() -> None:
    from transfercli.models.weights.pretrained import imagenet_tensors

    with pytest.raises(WeightsError, match="no ImageNet weights for small_cnn"):
        imagenet_tensors("small_cnn", (32, 32))


def _external_link(file: h5py.File, folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        other["secret"] = np.zeros(3, "float32")
    group = file.create_group("layers/conv1/vars")
    group.attrs["name"] = "conv1"
    group["0"] = h5py.ExternalLink("other.h5", "/secret")


def _soft_link(file: h5py.File, folder: Path) -> None:
    file["elsewhere"] = np.zeros(3, "float32")
    group = file.create_group("layers/conv1/vars")
    group.attrs["name"] = "conv1"
    group["0"] = h5py.SoftLink("/elsewhere")


def _external_storage(file: h5py.File, folder: Path) -> None:
    (folder / "raw").write_bytes(bytes(12))
    group = file.create_group("layers/conv1/vars")
    group.attrs["name"] = "conv1"
    group.create_dataset("0", (3,), "float32", external=[(str(folder / "raw"), 0, 12)])


def _virtual(file: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout((3,), "float32")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "secret", (3,))
    group = file.create_group("layers/conv1/vars")
    group.attrs["name"] = "conv1"
    group.create_virtual_dataset("0", layout)


def _objects(file: h5py.File, folder: Path) -> None:
    group = file.create_group("layers/conv1/vars")
    group.attrs["name"] = "conv1"
    group.create_dataset("0", data=["text"], dtype=h5py.string_dtype())


@pytest.mark.parametrize("attack", [_external_link, _soft_link, _external_storage, _virtual, _objects])
def test_hdf5_that_is_more_than_tensors_is_refused(attack, base, tmp_path: Path) -> None:
    path = tmp_path / "hostile.weights.h5"
    with h5py.File(path, "w") as file:
        attack(file, tmp_path)
    with pytest.raises(ArtefactError, match="was refused"):
        read(path, base)


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
