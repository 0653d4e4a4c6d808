"""What `predict` asks: a run's classifier, or an exported artefact in its own runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transfercli.data.decode import Geometry
from transfercli.evaluation.trust import Trust, read_trust
from transfercli.events import Events
from transfercli.runs.folder import RunFolder, find_run
from transfercli.workflows.model import image_size, load_run, read_labels, read_run_config


@dataclass(frozen=True, slots=True)
class Said:
    """probabilities: float [N, C], calibrated. doubted: bool [N], whether the model is not to be believed."""

    probabilities: np.ndarray
    doubted: np.ndarray


Answer = Callable[[np.ndarray], Said]  # for uint8 images [N, H, W, 3]


@dataclass(frozen=True, slots=True)
class Source:
    """Something that answers.

    geometry: of the images it takes. threads: how many cores it may use, None for all. load: slow, imports its runtime.
    """

    labels: tuple[str, ...]
    geometry: Geometry
    load: Callable[[], Answer]
    threads: int | None = None


def find_source(name: str, runs: Path, events: Events) -> Source:
    """The run or artefact that `name` names; raises `ArtefactError` that lists what is there instead."""
    return _from_run(find_run(name, runs), events)


def trust_of(run: RunFolder) -> Trust:
    """What was learnt on the run's validation images; where it was trained before that was done, nothing is changed."""
    return read_trust(run.path / "calibration.json") or Trust()


def _from_run(run: RunFolder, events: Events) -> Source:
    config, labels, trust = read_run_config(run), read_labels(run), trust_of(run)

    def load() -> Answer:
        model = load_run(run, events).classifier.model

        def answer(images: np.ndarray) -> Said:
            judgement = trust.judge(np.asarray(model.predict_on_batch(images)))
            return Said(judgement.probabilities, judgement.abstained)

        return answer

    return Source(labels, Geometry(*image_size(config), config.data.resize), load, config.compute.threads)
