"""The file of an out-of-distribution score, `unknown.safetensors` in a run: its tensors, and its numbers as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from transfercli.errors import ArtefactError
from transfercli.io import atomic
from transfercli.io.bounded import parse_json
from transfercli.models.unknown.score import ENERGY, PARTS, Space, UnknownScore
from transfercli.models.weights.safetensors_reader import Tensors, read_safetensors

FORMAT = 1
KEY = "unknown"  # of the JSON in the file's metadata
HINT = "restore the run, or train it again"


def write_score(path: Path, score: UnknownScore) -> None:
    """Write the file atomically; the same score gives the same bytes. Stored images are rounded to float16."""
    tensors = {} if score.space is None else {each.name: getattr(score.space, each.name) for each in fields(Space)}
    if tensors:
        tensors["neighbours"] = tensors["neighbours"].astype(np.float16)
    values = {
        "format": FORMAT,
        "score": score.name,
        "threshold": score.threshold,
        "weights": dict(score.weights),
        "separation": dict(score.separation),
        "taps": score.taps,
    }
    text = json.dumps(values, sort_keys=True, allow_nan=False)
    atomic.write_bytes(path, safetensors.numpy.save(tensors, {KEY: text}))


def read_score(path: Path) -> UnknownScore | None:
    """Read the file; None if a run of an earlier version has none. Raises `ArtefactError` if it is damaged."""
    if not path.exists():
        return None
    tensors = read_safetensors(path)
    try:
        with safetensors.safe_open(path, "numpy") as file:
            values = parse_json((file.metadata() or {})[KEY])
        return _checked(values, tensors)
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ArtefactError(f"{path.name} is damaged: {error}", HINT) from error


def _checked(values: Any, tensors: Tensors) -> UnknownScore:
    """Return the score. Raises `KeyError`, `TypeError` or `ValueError` if a value or a tensor is not as written."""
    if values["format"] != FORMAT:
        raise ValueError(f"its format is {values['format']!r}, and this version reads {FORMAT}")
    weights, separation = dict(values["weights"]), dict(values["separation"])
    numbers = [values["threshold"], *weights.values(), *separation.values()]
    if not all(type(number) in (int, float) and math.isfinite(number) for number in numbers):
        raise ValueError("a value is not a number")
    known = set(weights) <= set(PARTS) and isinstance(values["score"], str)
    if not (weights and all(weights.values()) and known):
        raise ValueError(f"the parts of the score are {sorted(weights)}; known are {', '.join(PARTS)}")
    if type(taps := values.get("taps", False)) is not bool:  # a file of an earlier version has no taps
        raise ValueError("taps is not true or false")
    space = _space(tensors) if set(weights) - {ENERGY} else None
    return UnknownScore(values["score"], float(values["threshold"]), weights, space, separation, taps)


def _space(tensors: Tensors) -> Space:
    space = Space(**{name: tensor.astype(np.float32) for name, tensor in tensors.items()})
    (channels, components), (coordinates,) = space.axes.shape, space.origin.shape
    expected = {
        "mean": (channels,),
        "axes": (channels, components),
        "origin": (coordinates,),
        "within": (coordinates, coordinates),
        "total": (coordinates, coordinates),
        "centres": (len(space.centres), coordinates),
        "neighbours": (len(space.neighbours), coordinates),
    }
    for name, shape in expected.items():
        tensor = getattr(space, name)
        if tensor.shape != shape or not tensor.size or not np.isfinite(tensor).all():
            raise ValueError(f"{name} has the shape {tensor.shape} instead of {shape}, or a number is not finite")
    if coordinates - components not in (0, 1):
        raise ValueError(f"it has {coordinates} coordinates for {components} components")
    return space
