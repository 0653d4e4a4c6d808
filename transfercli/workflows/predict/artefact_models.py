"""Exported artefacts as models of `predict`, each in its own runtime."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from transfercli.config.types import REGRESSION
from transfercli.errors import ArtefactError
from transfercli.export.artefact_files import EXPORTED
from transfercli.export.formats.readers import Artefact
from transfercli.export.formats.registry import FORMATS, Format, check_installed
from transfercli.export.spec import ExportSpec, parse_card
from transfercli.export.verify.checksums import verify_checksums
from transfercli.export.verify.sandbox import read_sandboxed
from transfercli.io.bounded import read_json
from transfercli.models.tasks.answers import answers_of
from transfercli.workflows.predict.loadable import LoadableModel, ModelOutput, PredictBatch, always_unsure

if TYPE_CHECKING:
    from transfercli.evaluation.confidence.conformal import ConformalScores

Reader = Callable[[str, Path], Artefact]  # takes the name of a format and a path


def find_artefact(path: Path) -> tuple[Format, Path] | None:
    """Return the format and the path to load of an artefact, or None. path: its folder, or the artefact itself.

    Raises `ArtefactError` if its export.json has an unknown format.
    """
    try:
        if (path / EXPORTED).is_file() and not (path / "run.json").exists():
            name = read_json(path / EXPORTED).get("format")
            row = FORMATS.get(name) if isinstance(name, str) else None
            if row is None:
                raise ArtefactError(
                    f"{path / EXPORTED} has the unknown format {name!r}; known formats: {', '.join(FORMATS)}"
                )
            return row, path / row.entry
        if (path / "saved_model.pb").is_file():
            return FORMATS["saved_model"], path
        if path.is_file():
            rows = [row for row in FORMATS.values() if row.entry and Path(row.entry).suffix == path.suffix.lower()]
            return (rows[0], path) if rows else None
    except (OSError, ValueError, AttributeError):
        return None
    return None


def from_artefact(row: Format, path: Path, read: Reader | None = None) -> LoadableModel:
    """Return the artefact of a format.

    read: loads it; None for a child process, as the file is not trusted.
    """
    check_installed(row, row.runtime, f"{path}, in the format {row.name},")
    spec, compiles = _spec_of_export_json(row, path), "keras" in row.runtime
    if spec is None:
        predict_batch, spec = _load_artefact(row, path, None, read)
        return _loadable(spec, path, lambda: predict_batch, compiles=compiles)
    load = functools.partial(_load_artefact, row, path, spec, read)
    return _loadable(spec, path, lambda: load()[0], compiles=compiles)


def _loadable(spec: ExportSpec, path: Path, load: Callable[[], PredictBatch], *, compiles: bool) -> LoadableModel:
    reason = "no confidence threshold can promise the accuracy of evaluation.abstain" if spec.confidence is None else ""
    if spec.decisions:
        reason = always_unsure(spec.labels, spec.decisions.confidences)
    return LoadableModel(
        spec.labels,
        spec.geometry,
        load,
        scores=lambda: _scores_of(spec, path),
        always_abstaining=lambda: reason,
        several=spec.decisions is not None,
        has_numbers=spec.task == REGRESSION,
        compiles=compiles,
    )


def _scores_of(spec: ExportSpec, path: Path) -> ConformalScores | None:
    """Return the conformal scores of an artefact, or None. Raises `ArtefactError` if they are damaged."""
    if spec.conformal is None:
        return None
    from transfercli.evaluation.confidence.conformal import ConformalScores

    try:
        scores = ConformalScores.from_json(spec.conformal)
        if len(scores.classes) != len(spec.labels):
            raise ValueError("they are of another number of classes")
    except (ValueError, TypeError, KeyError) as error:
        raise ArtefactError(f"the conformal scores of {path} are damaged: {error}", "export the run again") from error
    return scores


def _spec_of_export_json(row: Format, path: Path) -> ExportSpec | None:
    """Return the spec in the export.json of an artefact's folder, or None if that file describes another artefact.

    Raises `ArtefactError` if the checksum of a file differs.
    """
    folder = path if not row.entry else path.parent
    if not (folder / EXPORTED).is_file():
        return None
    exported = read_json(folder / EXPORTED)
    same_format = isinstance(exported, dict) and exported.get("format") == row.name
    if not same_format or path != folder / row.entry:
        return None
    verify_checksums(folder, exported)
    return parse_card(json.dumps(exported))


def _load_artefact(
    row: Format, path: Path, expected: ExportSpec | None, read: Reader | None
) -> tuple[PredictBatch, ExportSpec]:
    """Return a loaded artefact and its spec.

    If the format has no output for the out-of-distribution score, it abstains by confidence only. Raises
    `ArtefactError` if the artefact has no spec, or another one than `expected`.
    """
    artefact = (read or read_sandboxed)(row.name, path)
    spec = artefact.spec or expected
    if spec is None:
        raise ArtefactError(
            f"{path} has no transfercli metadata: another program wrote it", "name the folder with its export.json"
        )
    if expected not in (None, spec):
        raise ArtefactError(f"{path} does not match {EXPORTED} in the same folder", "export the run again")
    confidence = math.inf if spec.confidence is None else spec.confidence
    if spec.decisions:
        from transfercli.evaluation.multilabel.trust import label_answers  # it takes long: with the schema of configs

    def predict_batch(images: np.ndarray) -> ModelOutput:
        outputs = artefact.from_tensors(images)
        _check_outputs(outputs, spec, path)
        probabilities, unknown, strange = outputs[:, : len(spec.labels)], None, None
        if spec.task == REGRESSION:
            return ModelOutput(probabilities, np.zeros(len(outputs), bool))
        if spec.unknown is not None:
            unknown = outputs[:, -1].astype("float64")
            strange = unknown > spec.unknown["threshold"]
        if spec.decisions:
            answered, unsure = label_answers(probabilities, spec.decisions.thresholds, spec.decisions.confidences)
            abstained = np.any(unsure, axis=1) if strange is None else np.any(unsure, axis=1) | strange
            return ModelOutput(probabilities, abstained, None, unknown, strange, answered, unsure)
        chosen = answers_of(probabilities, spec.threshold)
        most = probabilities.max(axis=1) if chosen is None else probabilities[np.arange(len(chosen)), chosen]
        abstained = most < confidence if strange is None else (most < confidence) | strange
        return ModelOutput(probabilities, abstained, None, unknown, strange, chosen=chosen)

    return predict_batch, spec


def _check_outputs(outputs: np.ndarray, spec: ExportSpec, path: Path) -> None:
    """Raise `ArtefactError` if the output has another number of classes or values that are not finite."""
    if outputs.shape[1] != spec.columns:
        classes = outputs.shape[1] - (spec.columns - len(spec.labels))
        raise ArtefactError(
            f"{path} returns {classes} classes, but its metadata names {len(spec.labels)}",
            "export the run again",
        )
    if not np.isfinite(outputs).all():
        raise ArtefactError(f"{path} returns numbers that are not finite", "it is damaged: export the run again")
