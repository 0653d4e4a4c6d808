"""The safetensors format."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from transfercli.errors import ArtefactError
from transfercli.export.formats.registry import FORMATS


def test_plain_keras_rebuilds_the_safetensors_artefact(exported, reference):
    import keras
    from safetensors.numpy import load_file

    folder = exported.out / "safetensors"
    model = keras.models.model_from_json((folder / "model.json").read_text())  # noqa: TID251 - written by this very test
    tensors = load_file(folder / "model.safetensors")
    for variable in model.variables:
        variable.assign(tensors[variable.path])
    np.testing.assert_allclose(model.predict(reference.images, verbose=0), reference.probabilities, atol=1e-5)


def test_a_safetensors_artefact_with_other_tensors_is_refused(exported, tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = exported.out / "safetensors"
    shutil.copy(folder / "model.json", tmp_path)
    tensors = load_file(folder / "model.safetensors")
    first = min(tensors)
    save_file({**tensors, first: tensors[first][..., :1].copy()}, tmp_path / "model.safetensors")
    with pytest.raises(ArtefactError, match="has the shape"):
        FORMATS["safetensors"].read(tmp_path / "model.safetensors")
    del tensors[first]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ArtefactError, match="other tensors"):
        FORMATS["safetensors"].read(tmp_path / "model.safetensors")
