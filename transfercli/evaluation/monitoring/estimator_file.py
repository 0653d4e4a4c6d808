"""The file of an accuracy estimator, `monitoring.safetensors` of a run: passes under known shifts are made once.

It has no pixels and no paths.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from transfercli.errors import ArtefactError
from transfercli.evaluation.monitoring.answered_images import AnsweredImages, LabelledAnswers
from transfercli.evaluation.monitoring.expected_accuracy import AccuracyEstimator, KnownShifts
from transfercli.io import atomic
from transfercli.models.weights.safetensors_reader import read_safetensors

VERSION = 2  # of the shifts and of what is learnt from them
HINT = "remove the file: monitor makes it anew"


@dataclass(frozen=True)
class EstimatorFile:
    """File of one run. key: of the model and of the held-out images; a file with another key is not used."""

    path: Path
    key: str

    def read(self) -> AccuracyEstimator | None:
        """Return the estimator; None if there is none of this model. Raises `ArtefactError` if it is damaged."""
        if not self.path.exists():
            return None
        tensors = read_safetensors(self.path)
        try:
            facts = json.loads(tensors["facts"].tobytes())
            if facts["key"] != self.key or facts["version"] != VERSION:
                return None
            estimator = _estimator(tensors, facts)
        except (KeyError, ValueError, TypeError, AttributeError, IndexError, np.linalg.LinAlgError) as error:
            raise ArtefactError(f"{self.path.name} is damaged: {error}", HINT) from error
        return estimator

    def write(self, estimator: AccuracyEstimator) -> None:
        """Write the file atomically; the same estimator gives the same bytes. Raises `DiskError` or `UsageError`."""
        known, answers = estimator.known, estimator.held_out.answers
        facts = {
            "key": self.key,
            "version": VERSION,
            "seed": estimator.seed,
            "several": answers.several,
            "kinds": known.kinds,
            "margins": known.margins,
            "plain_margins": known.plain_margins,
        }
        tensors = {
            "facts": np.frombuffer(json.dumps(facts, sort_keys=True).encode(), np.uint8),
            "signals": known.signals,
            "corrections": known.corrections,
            "probabilities": answers.probabilities,
            "answered": answers.answered.astype(np.uint8),
            "features": answers.features,
            "truth": estimator.held_out.truth.astype(np.int32),
        }
        if answers.groups is not None:
            tensors["groups"] = answers.groups.astype(np.int64)
        contiguous = {name: np.ascontiguousarray(values) for name, values in sorted(tensors.items())}
        atomic.write_bytes(self.path, safetensors.numpy.save(contiguous))


def _estimator(tensors: dict[str, np.ndarray], facts: dict[str, Any]) -> AccuracyEstimator:
    """Return the estimator in tensors. Raises `ValueError` if their shapes or values do not fit together."""
    probabilities, answered, truth = tensors["probabilities"], tensors["answered"] != 0, tensors["truth"]
    features, signals, corrections = tensors["features"], tensors["signals"], tensors["corrections"]
    kinds, several = tuple(map(str, facts["kinds"])), bool(facts["several"])
    groups = tensors.get("groups")
    images = {len(each) for each in (probabilities, answered, truth, features)}
    if len(images) != 1 or len({probabilities.shape, answered.shape, truth.shape}) != 1 or features.ndim != 2:
        raise ValueError("its answers are of different images")
    if signals.ndim != 2 or len({len(signals), len(corrections), len(kinds)}) != 1:
        raise ValueError("its shifts do not fit together")
    numbers = (probabilities, features, signals, corrections)
    if not all(np.isfinite(each).all() for each in numbers) or (not several and not (answered.sum(axis=1) == 1).all()):
        raise ValueError("its values are not answers")
    answers = AnsweredImages(probabilities.astype(np.float64), answered, features.astype(np.float32), several, groups)
    margins = [
        {str(name): float(value) for name, value in facts[each].items()} for each in ("margins", "plain_margins")
    ]
    known = KnownShifts(kinds, signals.astype(np.float64), corrections.astype(np.float64), *margins)
    return AccuracyEstimator(LabelledAnswers(answers, truth.astype(np.int8)), known, int(facts["seed"]))
