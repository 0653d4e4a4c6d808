"""A new classifier: its structure, its labels and its weights, as a config gives them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.config.schema import (
    ExperimentConfig,
    FileWeights,
    HeadConfig,
    RunReference,
    RunWeights,
)
from transfercli.errors import DataError
from transfercli.reporting import Reporter
from transfercli.runs.lookup import find_run, is_label
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.structure import architecture, image_size

if TYPE_CHECKING:
    from transfercli.models.classifier import Classifier
    from transfercli.transfer.transplant import Transplant


@dataclass(frozen=True)
class Parent:
    """The run that a new model's weights come from, if any, and its class names."""

    run: StoredRun | None = None
    labels: tuple[str, ...] = ()


def with_structure(config: ExperimentConfig, runs: Path) -> ExperimentConfig:
    """Structure transfer: fill `model.base: {run: …}` in with that run's architecture, where nothing else is said."""
    if not isinstance(config.model.base, RunReference):
        return config
    earlier = StoredRun(find_run(config.model.base.run, runs)).config
    model, data = config.model, config.data
    taken: dict[str, Any] = {"base": earlier.model.base}
    if "head" not in model.model_fields_set:
        taken["head"] = HeadConfig(**{**earlier.model.head.model_dump(), "init": "new"})
    shape = {
        k: getattr(earlier.data, k) for k in ("image_size", "channels", "resize") if k not in data.model_fields_set
    }
    return config.model_copy(
        update={
            "model": model.model_copy(update=taken),
            "data": data.model_copy(update=shape),
        }
    )


def find_parent(config: ExperimentConfig, runs: Path, recorded: str | None = None) -> Parent:
    """The parent run of `model.weights: {run: …}`, checked to be there; raises `ArtefactError`.

    recorded: the parent in the record of a run that goes on; `EXPERIMENT` may name a newer run by now.
    """
    weights = config.model.weights
    if not isinstance(weights, RunWeights):
        return Parent()
    run = find_run(weights.run, runs)
    if recorded is not None and run.label != recorded and is_label(recorded):
        run = find_run(str(Path(os.path.realpath(run.path)).parent.parent / recorded), runs)
    stored = StoredRun(run)
    return Parent(stored, stored.labels)


def check_weights(config: ExperimentConfig, reporter: Reporter) -> None:
    """A weight file that will be refused is refused before the images are read and Keras starts."""
    from transfercli.models.weights.files import check_weight_file

    if isinstance(config.model.weights, FileWeights):
        check_weight_file(config.model.weights, reporter)


def labels_for(config: ExperimentConfig, parent: Parent, found: Sequence[str]) -> tuple[str, ...]:
    """The class map of a new run: the data's own, or the parent's kept or extended.

    Raises `DataError` with a plan where the head is kept and the data has classes it does not know.
    """
    if config.model.head.init == "new":
        return tuple(found)
    unknown = [label for label in found if label not in parent.labels]
    if not unknown:
        return parent.labels
    if config.model.head.init == "keep":
        raise DataError(
            f"the data has classes that the kept head does not know: {', '.join(unknown)};"
            f" it knows {', '.join(parent.labels)}",
            "set model.head.init to extend to add them, to new for a fresh head, or rename the folders",
        )
    return parent.labels + tuple(sorted(unknown))


def new_classifier(
    config: ExperimentConfig, parent: Parent, labels: tuple[str, ...], reporter: Reporter
) -> tuple[Classifier, Transplant | None]:
    """A classifier with the weights that `model.weights` names, and the report of what was copied.

    Raises `WeightsError` where pretrained weights cannot be had, `ArtefactError` where they are damaged or do not fit.
    """
    import keras

    from transfercli.models.classifier import build_classifier
    from transfercli.models.weights.pretrained import file_tensors, imagenet_tensors
    from transfercli.transfer.transplant import transplant

    weights, head = config.model.weights, config.model.head.init
    keras.utils.set_random_seed(config.seed)
    classifier = build_classifier(architecture(config, labels))
    if weights == "none":
        return classifier, None
    if isinstance(weights, RunWeights) and parent.run:
        donor = parent.run.read_checkpoint().model
        report = transplant(classifier, donor, until=weights.until, head=head, donor_labels=parent.labels)
    elif isinstance(weights, FileWeights):
        report = transplant(classifier, file_tensors(weights, classifier.name, classifier.base, reporter))
    else:
        report = transplant(classifier, imagenet_tensors(classifier.name, image_size(config)))
    reporter.info(f"weights from {_named(config, parent)}: {report.summary()}")
    for line in report.lines:
        reporter.debug(f"  {line.action:6} {line.tensor}: {line.reason}")
    return classifier, report


def _named(config: ExperimentConfig, parent: Parent) -> str:
    weights = config.model.weights
    if parent.run:
        return parent.run.label
    return Path(weights.path).name if isinstance(weights, FileWeights) else str(weights)
