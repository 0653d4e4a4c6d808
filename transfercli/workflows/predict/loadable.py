"""Models that are not loaded yet, and their output for a batch; importable without any runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from transfercli.data.image import Geometry
from transfercli.text import first_of

if TYPE_CHECKING:
    from transfercli.evaluation.confidence.conformal import ConformalScores

BATCH = 32  # images per forward pass, on a processor
MOST_NAMED = 5  # labels in a message


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """Output for a batch.

    probabilities: float [N, C], calibrated; or the number of each image, [N, 1]. abstained: bool [N], True if the model
    abstains. sets: bool [N, C], the labels of conformal sets; None if they were not asked for. unknown: float [N], the
    out-of-distribution scores, and strange: bool [N], True if they are above their threshold; None if the model has no
    score. answered: bool [N, C], the labels at or above their thresholds, and unsure: bool [N, C], the labels whose
    answer the model abstains from; None if an image has exactly one label. chosen: int [N], the answered class if a
    threshold chose it; None for the most probable one. features: float32 [N, D], those of the base, as `data drift`
    compares them; None unless the model was loaded `with_features`.
    """

    probabilities: np.ndarray
    abstained: np.ndarray
    sets: np.ndarray | None = None
    unknown: np.ndarray | None = None
    strange: np.ndarray | None = None
    answered: np.ndarray | None = None
    unsure: np.ndarray | None = None
    chosen: np.ndarray | None = None
    features: np.ndarray | None = None


PredictBatch = Callable[[np.ndarray], ModelOutput]  # takes uint8 images [N, H, W, 3]


@dataclass(frozen=True, slots=True)
class LoadableModel:
    """A model that is not loaded yet.

    geometry: of its input images. load: imports the runtime and loads the model, which is slow. threads: number of
    cores that decoding may use, or None for all. scores: reads the scores for prediction sets; None if the model is of
    an earlier version. always_abstaining: reads why it abstains from every image; "" if it does not. several: True if
    an image may have several labels. has_numbers: True if each image gets a number. batch_size: returns the number of
    images per forward pass, which on an accelerator is larger once the model is loaded. location: absolute path, which
    another process finds the same model by. compiles: True if the first batch of each size takes longer.
    load_with_features: loads the model so that its output has the features of the base; None if it has none, as an
    exported artefact.
    """

    labels: tuple[str, ...]
    geometry: Geometry
    load: Callable[[], PredictBatch]
    threads: int | None = None
    scores: Callable[[], ConformalScores | None] = lambda: None
    always_abstaining: Callable[[], str] = lambda: ""
    several: bool = False
    has_numbers: bool = False
    batch_size: Callable[[], int] = lambda: BATCH
    location: Path = Path()
    compiles: bool = True
    load_with_features: Callable[[], PredictBatch] | None = None


def with_features(model: LoadableModel) -> LoadableModel:
    """Return a model whose output has features, from the same forward pass; the model itself if it has none."""
    return replace(model, load=model.load_with_features) if model.load_with_features else model


def always_unsure(labels: Sequence[str], confidences: Sequence[float | None]) -> str:
    """Return why a model abstains from every image, if one of its labels is always unsure; "" if none is.

    confidences: one a label, or () if none ever is.
    """
    names = [label for label, confidence in zip(labels, confidences, strict=False) if confidence is None]
    if not names:
        return ""
    return f"no confidence of {first_of(names, MOST_NAMED)} can promise what evaluation.abstain asks for"
