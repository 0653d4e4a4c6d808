"""Models of `predict`: the classifier of a run, or an exported artefact in its own runtime."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from transfercli.config.types import REGRESSION
from transfercli.data.image import Geometry
from transfercli.errors import ArtefactError, UsageError
from transfercli.evaluation.confidence.conformal import ConformalScores, prediction_sets
from transfercli.evaluation.multilabel.trust import label_answers
from transfercli.export.formats.registry import FORMATS, Format, check_installed
from transfercli.export.spec import EXPORTED, ExportSpec, parse_card
from transfercli.export.verify.checksums import verify_checksums
from transfercli.export.verify.sandbox import read_sandboxed
from transfercli.io.bounded import read_json
from transfercli.models.tasks.answers import answers_of
from transfercli.reporting import Reporter
from transfercli.text import first_of
from transfercli.workflows.confidence import why_always_abstaining
from transfercli.workflows.conformal import scores_of_run
from transfercli.workflows.resolved_config import geometry_of
from transfercli.workflows.stored_run import StoredRun

BATCH = 32  # images per forward pass, on a processor
MOST_PER_BATCH = 256  # on an accelerator; decoding limits the speed before more of them would help
MOST_NAMED = 5  # labels in a message


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """Output for a batch.

    probabilities: float [N, C], calibrated; or the number of each image, [N, 1]. abstained: bool [N], True if the model
    abstains. sets: bool [N, C], the labels of conformal sets; None if they were not asked for. unknown: float [N], the
    out-of-distribution scores, and strange: bool [N], True if they are above their threshold; None if the model has no
    score. answered: bool [N, C], the labels at or above their thresholds, and unsure: bool [N, C], the labels whose
    answer the model abstains from; None if an image has exactly one label. chosen: int [N], the answered class if a
    threshold chose it; None for the most probable one.
    """

    probabilities: np.ndarray
    abstained: np.ndarray
    sets: np.ndarray | None = None
    unknown: np.ndarray | None = None
    strange: np.ndarray | None = None
    answered: np.ndarray | None = None
    unsure: np.ndarray | None = None
    chosen: np.ndarray | None = None


PredictBatch = Callable[[np.ndarray], ModelOutput]  # takes uint8 images [N, H, W, 3]


@dataclass(frozen=True, slots=True)
class LoadableModel:
    """A model that is not loaded yet.

    geometry: of its input images. load: imports the runtime and loads the model, which is slow. threads: number of
    cores that decoding may use, or None for all. scores: reads the scores for prediction sets; None if the model is of
    an earlier version. always_abstaining: reads why it abstains from every image; "" if it does not. several: True if
    an image may have several labels. has_numbers: True if each image gets a number. batch_size: returns the number of
    images per forward pass, which on an accelerator is larger once the model is loaded. location: absolute path, which
    another process finds the same model by.
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


def find_model(name: str, runs: Path, reporter: Reporter) -> LoadableModel:
    """Return the run or artefact that `name` names. Raises `ArtefactError` with the existing runs if there is none."""
    if artefact := _find_artefact(Path(name)):
        return replace(_from_artefact(*artefact), location=Path(name).absolute())
    return loadable_run(StoredRun.find(name, runs, reporter))


def loadable_run(run: StoredRun) -> LoadableModel:
    """Return the model of a run, which shares the classifier of the handle."""
    return replace(_from_run(run), location=run.path.absolute())


def with_sets(model: LoadableModel, name: str, level: float) -> LoadableModel:
    """Return a model with conformal sets that hold the true label with probability `level`; name: as typed.

    Raises `ArtefactError` if there are no scores, `UsageError` if there are too few validation images for the level, or
    if an image may have several labels.
    """
    if model.has_numbers:
        raise UsageError(f"--sets {level:g}: {name} gives an image a number, and no label", "leave --sets out")
    if model.several:
        raise UsageError(
            f"--sets {level:g}: {name} gives an image any number of labels, so no single label is the true one",
            "leave --sets out: the labels at or above their thresholds are listed as they are",
        )
    scores = model.scores()
    if scores is None:
        artefact = _find_artefact(Path(name)) is not None
        raise ArtefactError(
            f"{name} has no conformal scores, which --sets needs: an earlier version of this program wrote it",
            "export the run again" if artefact else f"transfercli evaluate {name} --split validation computes them",
        )
    thresholds = scores.thresholds(level)

    def load() -> PredictBatch:
        predict_batch = model.load()

        def predict_sets(images: np.ndarray) -> ModelOutput:
            output = predict_batch(images)
            return replace(output, sets=prediction_sets(output.probabilities, thresholds))

        return predict_sets

    return replace(model, load=load)


def _from_run(run: StoredRun) -> LoadableModel:
    answer = _number if run.has_numbers else _several_labels if run.several else _one_label

    fitting = BATCH

    def load() -> PredictBatch:
        nonlocal fitting
        model = run.scored_model
        from transfercli.models.passes.batch_size import forward_batch_size
        from transfercli.models.passes.compiled import compiled
        from transfercli.models.placement import gathered

        fitting = min(MOST_PER_BATCH, forward_batch_size(model, BATCH))
        compute = compiled(model)
        return lambda images: answer(run, gathered(compute(images)))

    threads = run.config.compute.threads
    return LoadableModel(
        run.labels,
        geometry_of(run.config),
        load,
        threads,
        lambda: scores_of_run(run),
        lambda: _why_always_abstaining(run),
        run.several,
        run.has_numbers,
        lambda: fitting,
    )


def _why_always_abstaining(run: StoredRun) -> str:
    if run.has_numbers:
        return ""
    if not run.several:
        return why_always_abstaining(run.trust, refitted=run.record.refitted)
    abstention = run.label_trust.abstention
    return _always_unsure(run.labels, abstention.confidences) if abstention else ""


def _always_unsure(labels: Sequence[str], confidences: Sequence[float | None]) -> str:
    """Return why a model abstains from every image, if one of its labels is always unsure; "" if none is.

    confidences: one a label, or () if none ever is.
    """
    names = [label for label, confidence in zip(labels, confidences, strict=False) if confidence is None]
    if not names:
        return ""
    return f"no confidence of {first_of(names, MOST_NAMED)} can promise what evaluation.abstain asks for"


def _one_label(run: StoredRun, outputs: np.ndarray) -> ModelOutput:
    _, assessment = run.judge(outputs)
    probabilities, abstained = assessment.probabilities, assessment.abstained
    unknown, strange = assessment.unknown, assessment.strange
    return ModelOutput(probabilities, abstained, unknown=unknown, strange=strange, chosen=assessment.answers)


def _number(run: StoredRun, outputs: np.ndarray) -> ModelOutput:
    return ModelOutput(run.calibrate(outputs), np.zeros(len(outputs), bool))


def _several_labels(run: StoredRun, outputs: np.ndarray) -> ModelOutput:
    _, found = run.judge_labels(outputs)
    return ModelOutput(
        found.probabilities,
        found.abstained,
        unknown=found.unknown,
        strange=found.strange,
        answered=found.answered,
        unsure=found.unsure,
    )


# -- exported artefacts


def _find_artefact(path: Path) -> tuple[Format, Path] | None:
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


def _from_artefact(row: Format, path: Path) -> LoadableModel:
    check_installed(row, row.runtime, f"{path}, in the format {row.name},")
    spec = _spec_of_export_json(row, path)
    if spec is None:
        predict_batch, spec = _load_artefact(row, path, None)
        return _loadable(spec, path, lambda: predict_batch)
    load = functools.partial(_load_artefact, row, path, spec)
    return _loadable(spec, path, lambda: load()[0])


def _loadable(spec: ExportSpec, path: Path, load: Callable[[], PredictBatch]) -> LoadableModel:
    reason = "no confidence threshold can promise the accuracy of evaluation.abstain" if spec.confidence is None else ""
    if spec.decisions:
        reason = _always_unsure(spec.labels, spec.decisions.confidences)
    return LoadableModel(
        spec.labels,
        spec.geometry,
        load,
        scores=lambda: _scores_of(spec, path),
        always_abstaining=lambda: reason,
        several=spec.decisions is not None,
        has_numbers=spec.task == REGRESSION,
    )


def _scores_of(spec: ExportSpec, path: Path) -> ConformalScores | None:
    """Return the conformal scores of an artefact, or None. Raises `ArtefactError` if they are damaged."""
    if spec.conformal is None:
        return None
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


def _load_artefact(row: Format, path: Path, expected: ExportSpec | None) -> tuple[PredictBatch, ExportSpec]:
    """Return a loaded artefact and its spec. Its runtime is in another process, as the file is not trusted.

    If the format has no output for the out-of-distribution score, it abstains by confidence only. Raises
    `ArtefactError` if the artefact has no spec, or another one than `expected`.
    """
    artefact = read_sandboxed(row.name, path)
    spec = artefact.spec or expected
    if spec is None:
        raise ArtefactError(
            f"{path} has no transfercli metadata: another program wrote it", "name the folder with its export.json"
        )
    if expected not in (None, spec):
        raise ArtefactError(f"{path} does not match {EXPORTED} in the same folder", "export the run again")
    confidence = math.inf if spec.confidence is None else spec.confidence

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
