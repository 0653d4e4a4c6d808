"""From a config, or from a run, to a classifier with its weights."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.config.loader import LoadedConfig, load
from transfercli.config.schema import (
    ExperimentConfig,
    FileWeights,
    HeadConfig,
    ModelConfig,
    RunReference,
    RunWeights,
)
from transfercli.errors import ArtefactError, ConfigError, DataError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder, has_checkpoint, read_json, status_of
from transfercli.runs.lookup import find_run, is_label
from transfercli.runs.record import config_folder
from transfercli.workflows.command_lines import spelled

if TYPE_CHECKING:
    import numpy as np

    from transfercli.evaluation.confidence.trust import Trust
    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import Classifier
    from transfercli.training.checkpoints import Checkpoint
    from transfercli.transfer.transplant import Transplant


@dataclass(frozen=True)
class Source:
    """Where a new model's weights come from. run: the parent run, where they are a run's; labels: its classes."""

    run: RunFolder | None = None
    labels: tuple[str, ...] = ()


def read_run_config(run: RunFolder) -> ExperimentConfig:
    """The resolved config of a run; `ArtefactError` where it is missing or damaged."""
    return load_run_config(run).config


def load_run_config(run: RunFolder) -> LoadedConfig:
    """The same, with the places of its keys in the run's `config.yaml`."""
    try:
        loaded = load(run.config)
    except ConfigError as error:
        raise ArtefactError(f"the config of {run.label} is damaged: {error.message}", "restore the run") from error
    if not isinstance(loaded.config.model.base, str) or loaded.config.data.image_size is None:
        raise ArtefactError(f"the config of {run.label} is damaged: its base or image size is open", "restore the run")
    return loaded


def read_labels(run: RunFolder) -> tuple[str, ...]:
    labels = read_json(run.labels)
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels) or len(labels) < 2:
        raise ArtefactError(f"{run.labels} is damaged: it must be a list of class names", "restore the run")
    return tuple(labels)


def image_size(config: ExperimentConfig) -> tuple[int, int]:
    """(height, width) in pixels, once `config` is resolved."""
    size = config.data.image_size
    if size is None:
        raise ArtefactError("data.image_size is not resolved")
    return (size, size) if isinstance(size, int) else size


def with_structure(config: ExperimentConfig, runs: Path) -> ExperimentConfig:
    """Structure transfer: fill `model.base: {run: …}` in with that run's architecture, where nothing else is said."""
    if not isinstance(config.model.base, RunReference):
        return config
    earlier = read_run_config(find_run(config.model.base.run, runs))
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


def find_source(config: ExperimentConfig, runs: Path, parent: str | None = None) -> Source:
    """The parent run of `model.weights: {run: …}`, checked to be there; raises `ArtefactError`.

    parent: the one that a run which goes on has recorded; `EXPERIMENT` may name a newer one by now.
    """
    weights = config.model.weights
    if not isinstance(weights, RunWeights):
        return Source()
    run = find_run(weights.run, runs)
    if parent is not None and run.label != parent and is_label(parent):
        run = find_run(str(Path(os.path.realpath(run.path)).parent.parent / parent), runs)
    return Source(run, read_labels(run))


def check_weights(config: ExperimentConfig, reporter: Reporter) -> None:
    """A weight file that will be refused is refused before the images are read and Keras starts."""
    from transfercli.models.weights.files import check_weight_file

    if isinstance(config.model.weights, FileWeights):
        check_weight_file(config.model.weights, reporter)


def labels_for(config: ExperimentConfig, source: Source, found: Sequence[str]) -> tuple[str, ...]:
    """The class map of a new run: the data's own, or the parent's kept or extended.

    Raises `DataError` with a plan where the head is kept and the data has classes it does not know.
    """
    if config.model.head.init == "new":
        return tuple(found)
    unknown = [label for label in found if label not in source.labels]
    if not unknown:
        return source.labels
    if config.model.head.init == "keep":
        raise DataError(
            f"the data has classes that the kept head does not know: {', '.join(unknown)};"
            f" it knows {', '.join(source.labels)}",
            "set model.head.init to extend to add them, to new for a fresh head, or rename the folders",
        )
    return source.labels + tuple(sorted(unknown))


def architecture(config: ExperimentConfig, labels: tuple[str, ...]) -> Architecture:
    from transfercli.models.architecture import Architecture

    return Architecture(
        base=str(config.model.base),
        image_size=image_size(config),
        channels=config.data.channels,
        head=config.model.head,
        labels=labels,
        batchnorm_trains=batchnorm_trains(config.model),
    )


def batchnorm_trains(model: ModelConfig) -> bool:
    """BatchNorm learns its statistics where layers of the base start fresh on purpose, and stays still elsewhere."""
    return model.weights == "none" or (isinstance(model.weights, RunWeights) and model.weights.until is not None)


def new_classifier(
    config: ExperimentConfig, source: Source, labels: tuple[str, ...], reporter: Reporter
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
    if isinstance(weights, RunWeights) and source.run:
        donor = best_checkpoint(source.run).model
        report = transplant(classifier, donor, until=weights.until, head=head, donor_labels=source.labels)
    elif isinstance(weights, FileWeights):
        report = transplant(classifier, file_tensors(weights, classifier.base, reporter))
    else:
        report = transplant(classifier, imagenet_tensors(classifier.name, image_size(config)))
    reporter.info(f"weights from {_named(config, source)}: {report.summary()}")
    for line in report.lines:
        reporter.debug(f"  {line.action:6} {line.tensor}: {line.reason}")
    return classifier, report


def best_checkpoint(run: RunFolder) -> Checkpoint:
    """The run's model; `ArtefactError` that says how to go on where it has none yet."""
    from transfercli.training.checkpoints import Checkpoints

    if not has_checkpoint(run) and (status := status_of(run)) != "completed":
        command = read_json(run.record).get("workflow", "finetune")
        raise ArtefactError(
            f"{run.label} is {status} and finished no epoch, so there is no model yet",
            f"go on with it: {spelled(command, '--resume', str(run.path))}",
        )
    return Checkpoints(run.checkpoints).load("best")


def check_head(tensors: Mapping[str, np.ndarray], head: HeadConfig, classes: int) -> None:
    """A head of another size than its weights is refused before it is built: it may be larger than memory."""
    units = [*head.hidden, 1 if head.output == "sigmoid" else classes]
    names = [*(f"hidden{number}" for number in range(1, len(units))), "logits"]
    for name, wanted in zip(names, units, strict=True):
        kernel = tensors.get(f"head/{name}/kernel")
        found = kernel.shape[-1] if kernel is not None and kernel.ndim else 0
        if found != wanted:
            raise ArtefactError(
                f"the checkpoint does not fit the model: its layer {name} has {found} units, the config wants {wanted}",
                "restore the run",
            )


def _named(config: ExperimentConfig, source: Source) -> str:
    weights = config.model.weights
    if source.run:
        return source.run.label
    return Path(weights.path).name if isinstance(weights, FileWeights) else str(weights)


@dataclass(frozen=True)
class TrainedRun:
    """A run, loaded: everything that evaluation and export need. trust: None where it was trained before that."""

    run: RunFolder
    config: ExperimentConfig
    folder: Path
    labels: tuple[str, ...]
    classifier: Classifier
    trust: Trust | None = None


def load_run(run: RunFolder, reporter: Reporter) -> TrainedRun:
    """Rebuild a run's classifier from its validated config and its best checkpoint; nothing that is loaded can run.

    Raises `ArtefactError` where a part is missing, damaged or of another shape.
    """
    from transfercli.evaluation.confidence.trust import read_trust
    from transfercli.training.backend import prepare

    config, labels = read_run_config(run), read_labels(run)
    checkpoint = best_checkpoint(run)
    check_head(checkpoint.model, config.model.head, len(labels))
    prepare(config.compute, config.seed)
    from transfercli.models.classifier import build_classifier
    from transfercli.models.tensor_names import assign_tensors

    if (status := status_of(run)) != "completed":
        reporter.warning(
            f"{run.label} is {status}: this is its best epoch so far, and will be out of date once it goes on"
        )
    trust = read_trust(run.calibration)
    classifier = build_classifier(architecture(config, labels), temperature=trust.temperature if trust else 1.0)
    assign_tensors(classifier, checkpoint.model)
    return TrainedRun(run, config, config_folder(run), labels, classifier, trust)
