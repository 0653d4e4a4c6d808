"""Models of `predict`: the classifier of a run, or an exported artefact in its own runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from transfercli.errors import ArtefactError, UsageError
from transfercli.evaluation.confidence.conformal import prediction_sets
from transfercli.reporting import Reporter
from transfercli.workflows.confidence import why_always_abstaining
from transfercli.workflows.conformal import scores_of_run
from transfercli.workflows.predict.artefact_models import find_artefact, from_artefact
from transfercli.workflows.predict.loadable import BATCH, LoadableModel, ModelOutput, PredictBatch, always_unsure
from transfercli.workflows.resolved_config import geometry_of
from transfercli.workflows.stored_run import StoredRun

MOST_PER_BATCH = 256  # on an accelerator; decoding limits the speed before more of them would help


def find_model(name: str, runs: Path, reporter: Reporter) -> LoadableModel:
    """Return the run or artefact that `name` names. Raises `ArtefactError` with the existing runs if there is none."""
    if artefact := find_artefact(Path(name)):
        return replace(from_artefact(*artefact), location=Path(name).absolute())
    try:
        return loadable_run(StoredRun.find(name, runs, reporter))
    except ArtefactError as error:
        from transfercli.export.version_folders import version_hint

        error.hint = version_hint(Path(name)) or error.hint
        raise


def loadable_run(run: StoredRun) -> LoadableModel:
    """Return the model of a run, which shares the classifier of the handle."""
    return replace(from_run(run), location=run.path.absolute())


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
        artefact = find_artefact(Path(name)) is not None
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


def from_run(run: StoredRun) -> LoadableModel:
    """Return the classifier of a run."""
    answer = _number if run.has_numbers else _several_labels if run.several else _one_label

    fitting = BATCH

    def load(*, features: bool = False) -> PredictBatch:
        nonlocal fitting
        model = run.scored_model
        from transfercli.models.passes.batch_size import forward_batch_size
        from transfercli.models.passes.compiled import compiled
        from transfercli.models.placement import gathered

        fitting = min(MOST_PER_BATCH, forward_batch_size(model, BATCH))
        if not features:
            compute = compiled(model)
            return lambda images: answer(run, gathered(compute(images)))
        from transfercli.models.unknown.features import with_base_features

        both = compiled(with_base_features(run.classifier, model))

        def answer_with_features(images: np.ndarray) -> ModelOutput:
            outputs, of_base = both(images)
            return replace(answer(run, gathered(outputs)), features=gathered(of_base))

        return answer_with_features

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
        load_with_features=lambda: load(features=True),
    )


def _why_always_abstaining(run: StoredRun) -> str:
    if run.has_numbers:
        return ""
    if not run.several:
        return why_always_abstaining(run.trust, refitted=run.record.refitted)
    abstention = run.label_trust.abstention
    return always_unsure(run.labels, abstention.confidences) if abstention else ""


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
