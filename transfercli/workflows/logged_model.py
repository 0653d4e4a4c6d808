"""Model as an answer log knows it: the facts that name it, and its answers to a batch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from transfercli.data.image import Geometry
from transfercli.evaluation.monitoring.counts import Answers, one_hot
from transfercli.evaluation.monitoring.model_facts import ModelFacts
from transfercli.export.artefact_files import EXPORTED
from transfercli.export.verify.checksums import CHECKSUMS
from transfercli.io.bounded import read_json
from transfercli.io.checksum import file_sha256
from transfercli.runs.folder import RunFolder
from transfercli.workflows.predict.loadable import LoadableModel, ModelOutput


def answers_of_output(output: ModelOutput, images: int, facts: ModelFacts) -> Answers:
    """Return the answers to the first images of a batch, those that `predict` prints."""
    probabilities, abstained = output.probabilities[:images], output.abstained[:images]
    score = None if output.unknown is None else output.unknown[:images]
    strange = None if output.strange is None else output.strange[:images]
    if facts.has_numbers:
        nothing = np.zeros(probabilities.shape, bool)
        return Answers(probabilities, nothing, None, nothing, abstained)
    if output.answered is not None:
        given = output.answered[:images]
        unsure = np.zeros(given.shape, bool) if output.unsure is None else output.unsure[:images]
        confidence = np.where(given, probabilities, 1 - probabilities)
        if strange is not None:
            unsure = unsure | strange[:, None]
        return Answers(probabilities, given, confidence, unsure, abstained, score, strange, several=True)
    chosen = probabilities.argmax(axis=1) if output.chosen is None else output.chosen[:images]
    given = one_hot(chosen, len(facts.labels))
    unsure = given & abstained[:, None]
    return Answers(probabilities, given, np.where(given, probabilities, 0), unsure, abstained, score, strange)


def facts_of(model: LoadableModel) -> ModelFacts:
    """Return the facts of a run or artefact. Raises `ArtefactError` if a file of it is missing or damaged."""
    return model_facts(
        model.location, model.labels, model.geometry, several=model.several, has_numbers=model.has_numbers
    )


def model_facts(
    location: Path, labels: tuple[str, ...], geometry: Geometry, *, several: bool, has_numbers: bool
) -> ModelFacts:
    """Return the facts of the run or artefact at a path. Raises as `facts_of`."""
    run, kind, sha256 = _identity(location)
    answers = "number" if has_numbers else "several labels" if several else "one label"
    return ModelFacts(run, kind, labels, answers, asdict(geometry), sha256)


def _identity(place: Path) -> tuple[str, str, str]:
    """Return the run, the kind and the SHA-256 of a model by its place, as in `ModelFacts`."""
    folder = RunFolder(place)
    if folder.record.is_file():
        files = [folder.checkpoints / "best" / "manifest.json", folder.calibration, folder.unknown, folder.labels]
        return folder.label, "run", _digest([file for file in files if file.is_file()])
    home = place if place.is_dir() else place.parent
    exported = read_json(home / EXPORTED) if (home / EXPORTED).is_file() else {}
    if isinstance(exported, dict) and isinstance(exported.get(CHECKSUMS), dict):  # they were verified when it was found
        text = json.dumps(exported[CHECKSUMS], sort_keys=True)
        return str(exported.get("run", "")), str(exported.get("format", "")), hashlib.sha256(text.encode()).hexdigest()
    files = [place] if place.is_file() else sorted(file for file in place.rglob("*") if file.is_file())
    return "", "artefact", _digest(files)


def _digest(files: Sequence[Path]) -> str:
    """Return one SHA-256 of the content of files, in their order."""
    return hashlib.sha256("".join(file_sha256(file) for file in files).encode()).hexdigest()
