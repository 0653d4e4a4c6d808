"""safetensors: tensors and the Keras config of the network; no code runs on loading."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from transfercli.errors import ArtefactError
from transfercli.export.formats.saved_model_check import check_config
from transfercli.export.spec import CARD, ExportSpec, WriteJob, card_text, parse_card
from transfercli.io.bounded import read_json
from transfercli.models.weights.safetensors_reader import read_safetensors
from transfercli.training.keras_import import import_keras

CONFIG = "model.json"


def write_safetensors(job: WriteJob) -> None:
    """Write `model.safetensors`, with tensors named LAYER/WEIGHT, and the Keras config, `model.json`."""
    import keras

    tensors = {
        # `asarray`, because `ascontiguousarray` makes a vector of a number
        name: np.asarray(keras.ops.convert_to_numpy(variable), order="C")
        for name, variable in _named(job.predictor).items()
    }
    safetensors.numpy.save_file(dict(sorted(tensors.items())), job.path, {CARD: card_text(job.spec)})
    job.path.with_name(CONFIG).write_text(json.dumps(json.loads(job.predictor.to_json()), sort_keys=True))


def read_safetensors_model(path: Path) -> Any:
    """Rebuild the model from built-in layers and the tensors."""
    from transfercli.export.formats.readers import Artefact

    model, spec = rebuild(path)
    return Artefact(model.predict_on_batch, labels=spec.labels if spec else None, spec=spec)


def rebuild(path: Path) -> tuple[Any, ExportSpec | None]:
    """Return the Keras model of an artefact, and the spec of its card, if it has one.

    Raises `ArtefactError` for other layers, or if names or shapes of the tensors do not match them.
    """
    keras = import_keras()
    from transfercli.models.normalization import finalise

    tensors = read_safetensors(path)
    config = read_json(path.with_name(CONFIG))
    check_config(config, path.with_name(CONFIG))
    model = keras.models.model_from_json(json.dumps(config))
    variables = _named(model)
    names = _stable_names(list(tensors))  # an earlier version stored the numbers of its process
    tensors = {names[name]: value for name, value in tensors.items()}
    if variables.keys() != tensors.keys():
        raise ArtefactError(f"{path.name} has other tensors than the layers of {CONFIG}", "export the run again")
    for name, variable in variables.items():
        if tuple(variable.shape) != tensors[name].shape:
            raise ArtefactError(f"{path.name}: {name} has the shape {tensors[name].shape}, not {tuple(variable.shape)}")
        variable.assign(tensors[name])
    finalise(model)
    with safetensors.safe_open(os.fspath(path), "numpy") as file:
        card = (file.metadata() or {}).get(CARD)
    return model, parse_card(card) if card else None


def _named(model: Any) -> dict[str, Any]:
    """Return name -> variable of a model, the same in every process, and after it is rebuilt from its config."""
    variables = model.variables
    # A layer in a Sequential has the path of that, too, unless it was rebuilt from a config.
    paths = ["/".join(variable.path.split("/")[-2:]) for variable in variables]
    names = _stable_names(paths)
    named = {names[path]: variable for path, variable in zip(paths, variables, strict=True)}
    if len(named) < len(variables):
        raise ValueError("two weights have the same name")
    return named


def _stable_names(paths: Sequence[str]) -> dict[str, str]:
    """Return path -> name, with the numbers that a fresh process would give.

    Keras numbers variables without a name, and random number generators, over the whole process, in the order in which
    they are made: `scale/variable_18`, `seed_generator_9/seed_generator_state`.
    """
    names = {path: path for path in paths}
    for pattern in (r"(.*/variable)(?:_(\d+))?()", r"(seed_generator)(?:_(\d+))?(/seed_generator_state)"):
        matches = [match for path in paths if (match := re.fullmatch(pattern, path))]
        for rank, match in enumerate(sorted(matches, key=lambda match: int(match[2] or 0))):
            names[match[0]] = match[1] + (f"_{rank}" if rank else "") + match[3]
    return names
