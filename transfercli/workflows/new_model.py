"""New classifiers: structure, labels and initial weights that a config describes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.config.schema import (
    ExperimentConfig,
    HeadConfig,
    RunReference,
    RunWeights,
)
from transfercli.config.types import ORDINAL
from transfercli.data.sources.class_order import in_order
from transfercli.data.sources.labels import shown
from transfercli.errors import ArtefactError, ConfigError, DataError
from transfercli.models.bases import BASES
from transfercli.reporting import Reporter
from transfercli.runs.lookup import find_run, is_label
from transfercli.workflows.initial_weights import (
    FileHead,
    base_of_file,
    kept_head,
    labels_of_kept_head,
    source_name,
    weight_source,
)
from transfercli.workflows.resolved_config import architecture, image_size
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.models.classifier import Classifier
    from transfercli.models.weights.files import WeightSource
    from transfercli.transfer.transplant import HeadInit, Transplant


@dataclass(frozen=True)
class Parent:
    """The run that a new model takes its weights from, or None, and its class names.

    head: the classification head of a weight file that is kept; its names are `labels`, if they are known.
    """

    run: StoredRun | None = None
    labels: tuple[str, ...] = ()
    head: FileHead | None = None


def with_parent_structure(config: ExperimentConfig, runs: Path) -> ExperimentConfig:
    """Return the config with `model.base: {run: …}` replaced by that run's architecture; keys that are set stay."""
    if not isinstance(config.model.base, RunReference):
        return config
    earlier = StoredRun(find_run(config.model.base.run, runs)).config
    model, data = config.model, config.data
    structure: dict[str, Any] = {"base": earlier.model.base}
    if "head" not in model.model_fields_set:
        structure["head"] = _as_new(earlier.model.head)
    elif model.head.pooling is None:
        # The default of this base, and not the earlier run's pooling: a head that is set is a head of its own.
        pooling = BASES[str(earlier.model.base)].pooling
        structure["head"] = model.head.model_copy(update={"pooling": pooling})
    keys = [key for key in ("image_size", "channels", "resize") if key not in data.model_fields_set]
    image_format = {key: getattr(earlier.data, key) for key in keys}
    return config.model_copy(
        update={
            "model": model.model_copy(update=structure),
            "data": data.model_copy(update=image_format),
        }
    )


def _as_new(head: HeadConfig) -> HeadConfig:
    """Return an earlier run's head for a new model; if it reads the last layer alone, the strategy may add others."""
    update: dict[str, Any] = {"init": "new"} if head.taps else {"init": "new", "taps": None, "normalisation": None}
    return head.model_copy(update=update)


def with_base_of_weights(config: ExperimentConfig, runs: Path, reporter: Reporter) -> ExperimentConfig:
    """Return the config with `model.base: auto` replaced by the base of the run or file of `model.weights`.

    Raises as `base_of_file` does, `ArtefactError` if the run is missing.
    """
    if config.model.base != "auto":
        return config
    weights = config.model.weights
    if isinstance(weights, RunWeights):
        base = StoredRun(find_run(weights.run, runs)).config.model.base
    else:
        source = weight_source(config)
        assert source is not None  # cross_checks.py
        base = base_of_file(source, reporter)
    return config.model_copy(update={"model": config.model.model_copy(update={"base": base})})


# Keys of the section `data` on how a file is read that a new model takes from the run that its base comes from.
INHERITED_READING = ("background", "levels", "profiles", "max_megapixels")


def parent_named(config: ExperimentConfig) -> str | None:
    """Return the run, as an unresolved config names it, that gives a new model its weights or else its architecture."""
    model = config.model
    references = (model.weights, model.base)
    return next((one.run for one in references if isinstance(one, (RunWeights, RunReference))), None)


def with_parent_reading(
    config: ExperimentConfig, parent: str | None, runs: Path
) -> tuple[ExperimentConfig, tuple[str, ...]]:
    """Return the config with the parent's way of reading files, and a warning for each key that it sets otherwise.

    A parent that is missing or damaged changes nothing here: it is an error where its weights are read.

    parent: a run as the config names it, or None.
    """
    if parent is None:
        return config, ()
    try:
        run = StoredRun(find_run(parent, runs))
        earlier = run.config.data
    except ArtefactError:
        return config, ()
    data = config.data
    inherited = {key: getattr(earlier, key) for key in INHERITED_READING if key not in data.model_fields_set}
    warnings = tuple(
        f"data.{key} is {getattr(data, key)}, and {getattr(earlier, key)} in {run.label}, from which the new model"
        " starts: its weights were learnt from images that are read in another way"
        for key in INHERITED_READING
        if key not in inherited and getattr(data, key) != getattr(earlier, key)
    )
    return config.model_copy(update={"data": data.model_copy(update=inherited)}), warnings


def with_kept_layers(config: ExperimentConfig, runs: Path) -> ExperimentConfig:
    """Return the config of a new run with the layers that a kept or extended head reads, and their normalisation.

    Keys that are set stay. A parent that is missing or damaged changes nothing here, as in `with_parent_reading`.
    """
    weights, head = config.model.weights, config.model.head
    if head.init == "new" or not isinstance(weights, RunWeights):
        return config
    try:
        earlier = StoredRun(find_run(weights.run, runs)).config.model.head
    except ArtefactError:
        return config
    taps = (earlier.taps or []) if head.taps is None else head.taps
    kept = head.model_copy(update={"taps": taps, "normalisation": head.normalisation or earlier.normalisation})
    return config.model_copy(update={"model": config.model.model_copy(update={"head": kept})})


def find_parent(config: ExperimentConfig, runs: Path, recorded: str | None = None) -> Parent:
    """Return the parent run of `model.weights: {run: …}`. Raises `ArtefactError` if it does not exist.

    recorded: the parent in the record of a run that is resumed; `EXPERIMENT` may name a newer run by now.
    """
    weights = config.model.weights
    if not isinstance(weights, RunWeights):
        return Parent()
    run = find_run(weights.run, runs)
    if recorded is not None and run.label != recorded and is_label(recorded):
        run = find_run(str(Path(os.path.realpath(run.path)).parent.parent / recorded), runs)
    stored = StoredRun(run)
    return Parent(stored, stored.labels)


def with_file_head(parent: Parent, config: ExperimentConfig, reporter: Reporter) -> Parent:
    """Return the parent with the classification head of a weight file, if `model.head.init: keep` takes that.

    Raises as `kept_head` does.
    """
    head = kept_head(config, reporter)
    return Parent(parent.run, head.labels, head) if head else parent


def labels_for(
    config: ExperimentConfig, parent: Parent, data_labels: Sequence[str], reporter: Reporter
) -> tuple[str, ...]:
    """Return the classes of a new run: those of the data, or those of the parent, kept or extended.

    Raises `DataError` if `head.init` is keep and the data has classes that the parent does not have, `ConfigError` if
    a kept head without names has another number of classes, or if the head is that of another task.
    """
    if config.model.head.init == "new" or (parent.run is None and parent.head is None):
        return in_order(data_labels, config.data.order) if config.task == ORDINAL else tuple(data_labels)
    _check_task_of_head(config, parent)
    if parent.head and not parent.labels:
        return labels_of_kept_head(parent.head, data_labels, reporter)
    unknown = [label for label in data_labels if label not in parent.labels]
    if unknown and config.task == ORDINAL:
        raise DataError(
            f"the data has classes that the kept head does not have: {_shown(unknown, parent.labels)}; a scale cannot"
            " be extended, as every step would change its meaning",
            "set model.head.init to new",
        )
    if not unknown:
        return parent.labels
    if config.model.head.init == "keep":
        extend = "" if parent.head else "extend to add them, to "
        raise DataError(
            f"the data has classes that the kept head does not have: {_shown(unknown, parent.labels)};"
            f" its classes are {_shown(parent.labels, unknown)}",
            f"set model.head.init to {extend}new for a fresh head, or rename the folders",
        )
    return parent.labels + tuple(sorted(unknown))


def _check_task_of_head(config: ExperimentConfig, parent: Parent) -> None:
    """Raise `ConfigError` if a head that is kept or extended is that of another task."""
    task, donor = ("classify", "the weight file") if parent.run is None else (parent.run.config.task, parent.run.label)
    if task != config.task:
        raise ConfigError(
            f"model.head.init: {config.model.head.init} takes the head of {donor}, which is of task: {task}, and this"
            f" config is of task: {config.task}",
            "set model.head.init to new for a fresh head",
        )


def _shown(labels: Sequence[str], others: Sequence[str]) -> str:
    return ", ".join(shown(label, others) for label in labels)


def new_classifier(
    config: ExperimentConfig, parent: Parent, labels: tuple[str, ...], reporter: Reporter, *, random: bool = False
) -> tuple[Classifier, Transplant | None]:
    """Return a classifier with the weights of `model.weights`, and the report of the copied tensors.

    random: keep the random initial weights, and return no report.

    Raises `WeightsError` if pretrained weights are not available, `ArtefactError` if they are damaged or do not fit,
    `ConfigError` if they are those of another base.
    """
    import keras

    from transfercli.models.classifier import build_classifier
    from transfercli.models.weights.pretrained import imagenet_tensors
    from transfercli.models.weights.resnet_versions import check_resnet_version
    from transfercli.transfer.transplant import transplant

    weights, head = config.model.weights, config.model.head.init
    keras.utils.set_random_seed(config.seed)
    classifier = build_classifier(architecture(config, labels))
    if head != "new" and parent.run:
        _check_kept_layers(classifier, parent.run)
    _warn_of_unused_pixels(config, classifier.name, reporter)
    if weights == "none" or random:
        return classifier, None
    if isinstance(weights, RunWeights) and parent.run:
        if further := len(parent.run.config.model.members):
            reporter.warning(
                f"{parent.run.label} is an average of {further + 1} networks: the new model starts from the first"
            )
        donor = parent.run.read_checkpoint().model
        check_resnet_version(donor, classifier.name)
        donor_size = image_size(parent.run.config)
        report = transplant(
            classifier,
            donor,
            until=weights.until,
            head=head,
            donor_labels=parent.labels,
            donor_image_size=donor_size,
        )
    elif (source := weight_source(config)) is not None:
        report = _from_file(classifier, source, config.model.head.init, parent.labels or labels, reporter)
    else:
        report = transplant(classifier, imagenet_tensors(classifier.name, image_size(config), reporter))
    reporter.info(f"weights from {_weights_name(config, parent)}: {report.summary()}")
    for line in report.lines:
        reporter.debug(f"  {line.action:6} {line.tensor}: {line.reason}")
    return classifier, report


def _check_kept_layers(classifier: Classifier, parent: StoredRun) -> None:
    """Raise `ConfigError` if a head that is kept or extended reads other layers than the run's, or scales them else."""
    kept = parent.config.model.head
    for key, received, stored in (
        ("taps", list(classifier.taps), list(kept.taps or [])),
        ("normalisation", classifier.normalisation, kept.normalisation or "none"),
    ):
        if received != stored:
            raise ConfigError(
                f"model.head.{key}: {received}, but the head of {parent.label} is kept, which has {stored}",
                "leave the key out, or set model.head.init to new",
            )


def _warn_of_unused_pixels(config: ExperimentConfig, base: str, reporter: Reporter) -> None:
    """Warn of an image size that is no whole number of patches: pixels at two edges of every image are not used."""
    size, patch = image_size(config), BASES[base].patch
    rows, columns = BASES[base].unused_pixels(size)
    if patch and (rows or columns):
        fitting = [max(patch, patch * round(length / patch)) for length in size]
        reporter.warning(
            f"data.image_size: {list(size)} is no whole number of the patches of {base}, {patch} x {patch} pixels: the"
            f" lowest {rows} rows and the last {columns} columns of every image are not used; {fitting} uses all"
        )


def _from_file(
    classifier: Classifier, source: WeightSource, head: HeadInit, labels: tuple[str, ...], reporter: Reporter
) -> Transplant:
    """Copy the tensors of a weight file into a classifier. labels: the classes of the file's head, if it is kept."""
    from transfercli.models.weights.pretrained import file_tensors
    from transfercli.transfer.transplant import HEAD_OUTPUT, transplant, with_sources

    mapped = file_tensors(source, classifier.name, classifier.base, reporter)
    donor, sources, unused = dict(mapped.tensors), dict(mapped.sources), dict(mapped.unused)
    if head == "keep" and mapped.head:
        donor |= dict(zip(HEAD_OUTPUT, mapped.head, strict=True))
        kernel, *bias = mapped.head_sources
        sources |= dict(zip(HEAD_OUTPUT, ((kernel,), tuple(bias) or ("zeros, as the file has no bias",)), strict=True))
        unused = {name: reason for name, reason in unused.items() if name not in mapped.head_sources}
    report = transplant(classifier, donor, head=head, donor_labels=labels)
    if head == "keep":
        _check_kept(report, source)
    return with_sources(report, sources, unused)


def _check_kept(report: Transplant, source: WeightSource) -> None:
    """Raise `ArtefactError` if the output layer of a head that is kept does not fit, and would be random."""
    from transfercli.transfer.transplant import HEAD_OUTPUT

    for line in report.lines:
        if line.tensor in HEAD_OUTPUT and line.action != "copied":
            raise ArtefactError(
                f"model.head.init: keep, but the head of {source_name(source)} does not fit the base: {line.tensor}:"
                f" {line.reason}",
                "set model.head.init to new for a fresh head",
            )


def _weights_name(config: ExperimentConfig, parent: Parent) -> str:
    if parent.run:
        return parent.run.label
    source = weight_source(config)
    return source_name(source) if source else str(config.model.weights)
