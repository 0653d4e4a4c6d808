"""safetensors: tensors and the Keras config of the network; no code runs on loading."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from transfercli.errors import ArtefactError
from transfercli.export.formats.saved_model_check import check_config
from transfercli.export.spec import CARD, WriteJob, card_text, parse_card
from transfercli.io.bounded import read_json
from transfercli.models.weights.safetensors_reader import read_safetensors

CONFIG = "model.json"


def write_safetensors(job: WriteJob) -> None:
    """Write `model.safetensors`, with tensors named by variable path, and the Keras config, `model.json`."""
    tensors = {variable.path: np.ascontiguousarray(variable.numpy()) for variable in job.predictor.variables}
    safetensors.numpy.save_file(dict(sorted(tensors.items())), job.path, {CARD: card_text(job.spec)})
    job.path.with_name(CONFIG).write_text(json.dumps(json.loads(job.predictor.to_json()), sort_keys=True))


def read_safetensors_model(path: Path) -> Any:
    """Rebuild the model from built-in layers and the tensors.

    Raises `ArtefactError` for other layers, or if names or shapes of the tensors do not match them.
    """
    import keras

    from transfercli.export.formats.readers import Artefact

    tensors = read_safetensors(path)
    config = read_json(path.with_name(CONFIG))
    check_config(config, path.with_name(CONFIG))
    model = keras.models.model_from_json(json.dumps(config))  # noqa: TID251 (checked, and in a child process)
    variables = {variable.path: variable for variable in model.variables}
    if variables.keys() != tensors.keys():
        raise ArtefactError(f"{path.name} has other tensors than the layers of {CONFIG}", "export the run again")
    for name, variable in variables.items():
        if tuple(variable.shape) != tensors[name].shape:
            raise ArtefactError(f"{path.name}: {name} has the shape {tensors[name].shape}, not {tuple(variable.shape)}")
        variable.assign(tensors[name])
    with safetensors.safe_open(os.fspath(path), "numpy") as file:
        card = (file.metadata() or {}).get(CARD)
    spec = parse_card(card) if card else None
    return Artefact(model.predict_on_batch, labels=spec.labels if spec else None, spec=spec)
