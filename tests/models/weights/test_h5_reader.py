"""HDF5 files from anywhere."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.models.weights.reading import read
from transfercli.errors import ArtefactError


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
