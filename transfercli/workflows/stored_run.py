"""Stored runs: one handle on all parts of a run folder, each read when it is first used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from transfercli.config.loader import LoadedConfig, load
from transfercli.config.schema import ExperimentConfig, HeadConfig
from transfercli.config.types import MULTILABEL, REGRESSION
from transfercli.data.image import EARLIER, IGNORE, NO_BACKGROUND
from transfercli.data.ingest import Reading
from transfercli.data.load import load_folder_split, load_recorded_split
from transfercli.data.manifest import read_manifest, read_pixels
from transfercli.data.quality.image_descriptors import Descriptors, read_descriptors
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.data.sources.labels import names_of_stored, normalised_label, shown
from transfercli.data.sources.table_format import TableFormat
from transfercli.errors import ArtefactError, ConfigError, DataError
from transfercli.evaluation.confidence.trust import Assessment, Trust, read_trust
from transfercli.evaluation.held_out import HeldOutAnswers, read_held_out
from transfercli.evaluation.multilabel.trust import LabelAssessment, LabelTrust, read_label_trust
from transfercli.io.bounded import read_json
from transfercli.models.tasks.calibration import Calibration
from transfercli.models.tasks.outputs import OUTPUTS
from transfercli.models.tasks.standardisation import read_standardisation
from transfercli.models.unknown.file import read_score
from transfercli.models.unknown.score import UnknownScore
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder, has_checkpoint
from transfercli.runs.listing import present_status, resume_command
from transfercli.runs.lookup import find_run_and_warn
from transfercli.runs.record import RunRecord
from transfercli.shards import Shard
from transfercli.workflows.recorded_groups import with_recorded_groups
from transfercli.workflows.resolved_config import geometry_of

if TYPE_CHECKING:
    import keras
    import numpy as np

    from transfercli.data.dataset import Record, Split
    from transfercli.models.classifier import Classifier
    from transfercli.training.checkpoints import Checkpoint


class StoredRun:
    """A run in its folder. Each part is read when it is first used, and kept in memory.

    A missing or damaged part raises `ArtefactError`. No code is loaded from the folder: the classifier is rebuilt from
    the validated config, and its weights are plain tensors.
    """

    def __init__(self, folder: RunFolder, reporter: Reporter | None = None) -> None:
        self.folder, self.reporter = folder, reporter or Reporter()
        self.max_bad: float | None = None  # of the command line
        self.max_lost = 0.0  # of the run's own images, which all count unless the command line says otherwise

    @classmethod
    def find(cls, text: str, runs: Path, reporter: Reporter) -> StoredRun:
        """Return the run that a user's RUN names; warn if the champion of its experiment is another run."""
        return cls(find_run_and_warn(text, runs, reporter), reporter)

    @property
    def label(self) -> str:
        """The name of the run: EXPERIMENT/RUN_ID."""
        return self.folder.label

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def status(self) -> str:
        """running, completed, failed or interrupted, as of now."""
        _ = self.record  # checked first
        return present_status(self.folder)

    # -- files

    @cached_property
    def record(self) -> RunRecord:
        return RunRecord.read(self.folder)

    @cached_property
    def loaded(self) -> LoadedConfig:
        """The resolved config, its paths, and the line of each key in the run's `config.yaml`."""
        _ = self.record  # checked first: it holds the folder that the paths of the config start in
        try:
            loaded = load(self.folder.config)
        except ConfigError as error:
            raise ArtefactError(f"the config of {self.label} is damaged: {error.message}", "restore the run") from error
        if not isinstance(loaded.config.model.base, str) or loaded.config.data.image_size is None:
            reason = "model.base or data.image_size is missing"
            raise ArtefactError(f"the config of {self.label} is damaged: {reason}", "restore the run")
        return replace(loaded, config=as_trained(loaded.config))

    @property
    def config(self) -> ExperimentConfig:
        return self.loaded.config

    @property
    def several(self) -> bool:
        """True if an image may have several labels."""
        return self.config.task == MULTILABEL

    @property
    def has_numbers(self) -> bool:
        """True if each image has a number."""
        return self.config.task == REGRESSION

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Class names in index order, normalised."""
        names = names_of_stored(self._stored_labels)
        kept = [label for label, name in names.items() if normalised_label(label) != name]
        if kept:
            self.reporter.warning(
                f"{self.label} has classes that differ in spaces around the name or in their Unicode form only:"
                f" {', '.join(shown(label, names) for label in kept)}; their names are used as stored, but images are"
                " listed under the normalised name"
            )
        return tuple(names[label] for label in self._stored_labels)

    @cached_property
    def _stored_labels(self) -> list[str]:
        labels = read_json(self.folder.labels)
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels) or not labels:
            raise ArtefactError(f"{self.folder.labels} is damaged: it must be a list of class names", "restore the run")
        if len(labels) < 2 and not self.has_numbers:
            raise ArtefactError(f"{self.folder.labels} is damaged: it must name two classes or more", "restore the run")
        return labels

    @cached_property
    def images(self) -> list[Record]:
        """The records of `dataset.csv`, with the names in `labels`."""
        records = read_manifest(self.folder.dataset, self._stored_labels)
        if not self.folder.config.exists():
            return records
        return with_recorded_groups(records, self.config.data, self.label, self.reporter)

    @cached_property
    def auxiliary(self) -> list[Record]:
        """The records of `auxiliary.csv`, unlabelled and related images, with the names in `labels`."""
        return read_manifest(self.folder.auxiliary, self._stored_labels) if self.folder.auxiliary.exists() else []

    @cached_property
    def pixel_hashes(self) -> dict[str, str] | None:
        """SHA-256 of a file -> SHA-256 of its pixels; None for a run from before they were stored."""
        return read_pixels(self.folder.pixels) if self.folder.pixels.exists() else None

    @cached_property
    def descriptors(self) -> Descriptors | None:
        """The descriptors of the images, or None for a run from before they were stored."""
        return read_descriptors(self.folder.descriptors)

    @cached_property
    def stored_trust(self) -> Trust | None:
        """Calibration and abstention thresholds, or None for a run from before they were stored."""
        if self.several or self.has_numbers:
            return None
        trust = read_trust(self.folder.calibration)
        if trust and trust.conformal and len(trust.conformal.classes) != len(self._stored_labels):
            classes, labels = len(trust.conformal.classes), len(self._stored_labels)
            raise ArtefactError(
                f"{self.folder.calibration.name} is damaged: it is of {classes} classes, and the run has {labels}",
                "restore the run, or train it again",
            )
        return trust

    @cached_property
    def unknown(self) -> UnknownScore | None:
        """The out-of-distribution score, or None for a run from before it was stored, whose score is the energy."""
        return read_score(self.folder.unknown) if self.folder.calibration.exists() else None

    @cached_property
    def held_out(self) -> HeldOutAnswers | None:
        """Logits of the images that score the run, or None for a run from before they were stored."""
        return read_held_out(self.folder.held_out)

    def groups_of(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Return the group of each of the run's own images, as in `Split`: () if none of them has one."""
        group_of = {image.path: image.group for image in self.images}
        groups = tuple(group_of.get(path, "") for path in paths)
        return groups if any(groups) else ()

    @property
    def trust(self) -> Trust:
        return self.stored_trust or Trust()

    @property
    def calibration(self) -> Calibration:
        """The map of the logits that gives calibrated probabilities, or the number of an image."""
        if self.has_numbers:
            return read_standardisation(self.folder.calibration).calibration
        return (self.label_trust if self.several else self.trust).calibration

    @cached_property
    def label_trust(self) -> LabelTrust:
        """Calibration and thresholds of a run with several labels."""
        return read_label_trust(self.folder.calibration) or LabelTrust.without_fit(self.labels)

    # -- model

    def read_checkpoint(self) -> Checkpoint:
        """Return the best checkpoint. Raises `ArtefactError` with the command that resumes if no epoch was finished."""
        from transfercli.training.checkpoints import Checkpoints

        if not has_checkpoint(self.folder) and self.status != "completed":
            resume = resume_command(self.folder, self.path.parent.parent)
            raise ArtefactError(
                f"{self.label} is {self.status} and finished no epoch, so there is no model yet",
                f"resume it: {resume}",
            )
        return Checkpoints(self.folder.checkpoints).load("best")

    @cached_property
    def classifier(self) -> Classifier:
        """The classifier of the best checkpoint, with a calibrated predictor."""
        checkpoint = self.read_checkpoint()
        model = self.config.model
        for number, head in enumerate([model.head, *(member.head for member in model.members)], start=1):
            units = OUTPUTS[self.config.task].units(len(self.labels), head.output)
            check_head(checkpoint.model, head, units, number)
        self._prepare_backend()
        from transfercli.models.average.classifier import build_average
        from transfercli.models.classifier import build_classifier
        from transfercli.models.tensor_names import assign_tensors
        from transfercli.workflows.resolved_config import architecture, members_of

        if (status := self.status) != "completed":
            self.reporter.warning(
                f"{self.label} is {status}: this is its best epoch so far, and another epoch may replace it"
            )
        build = build_average if model.members else build_classifier
        members = members_of(model, checkpoint.model)
        classifier = build(architecture(self.config, self.labels, members), calibration=self.calibration)
        assign_tensors(classifier, checkpoint.model)
        return classifier

    def logits(self, split: Split, stage: str = "evaluate", reporter: Reporter | None = None) -> np.ndarray:
        """Return logits of the whole model in float32: [N, C], or [N, 1] of a sigmoid head."""
        model, batch_size = self.classifier.model, self.config.data.batch_size  # first: sets the backend up
        from transfercli.models.forward import forward

        return forward(model, split.images, batch_size, reporter or self.reporter, stage)

    @cached_property
    def scored_model(self) -> keras.Model:
        """The model that gives logits and, if the run has one, the out-of-distribution score as a last column."""
        classifier = self.classifier  # first: sets the backend up
        from transfercli.models.unknown.layers import scored_model

        return scored_model(classifier, self.unknown) if self.unknown else classifier.model

    def judge(self, outputs: np.ndarray) -> tuple[np.ndarray, Assessment]:
        """Return logits [N, C], or [N, 1] of a sigmoid head, and the assessment, of outputs of `scored_model`."""
        logits, scores = self.logits_and_scores(outputs)
        return logits, self.trust.assess(logits, scores, self.unknown.threshold if self.unknown else None)

    def judge_labels(self, outputs: np.ndarray) -> tuple[np.ndarray, LabelAssessment]:
        """Return logits [N, L] and the assessment, of outputs of `scored_model` of a run with several labels."""
        logits, scores = self.logits_and_scores(outputs)
        return logits, self.label_trust.assess(logits, scores, self.unknown.threshold if self.unknown else None)

    def logits_and_scores(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return logits [N, units] and out-of-distribution scores float64 [N] of outputs of `scored_model`.

        The scores are None for a run from before they were stored.
        """
        if self.unknown is None:
            return outputs, None
        import numpy as np

        logits, scores = outputs[:, :-1], outputs[:, -1].astype("float64")
        if np.isfinite(logits).all() and not np.isfinite(scores).all():
            name = self.folder.unknown.name
            raise ArtefactError(f"{name} is damaged: it gives scores that are not finite", "restore the run")
        return logits, scores

    def calibrate(self, logits: np.ndarray) -> np.ndarray:
        """Return float32 probabilities [N, C] for logits [N, C], or [N, 1] of a sigmoid head; or numbers [N, 1]."""
        if self.has_numbers:
            return self.calibration.of(logits).astype("float32")
        if self.several:
            return self.label_trust.probabilities(logits).astype("float32")
        return self.trust.assess(logits).probabilities.astype("float32")

    def probabilities(self, split: Split, stage: str = "evaluate", reporter: Reporter | None = None) -> np.ndarray:
        """Return calibrated probabilities float32 [N, C], in the order of the run's labels."""
        return self.calibrate(self.logits(split, stage, reporter))

    # -- images

    @property
    def reading(self) -> Reading:
        """Settings for reading the run's images."""
        config = self.config
        reading = Reading(geometry_of(config), config.data.max_bad_fraction, config.compute, self.reporter)
        if self.max_bad is None:
            return reading
        return replace(reading, max_bad_fraction=self.max_bad, max_bad_name="--max-bad")

    def accept_bad(self, fraction: float | None) -> None:
        """Set the largest fraction of unreadable images accepted, as `--max-bad` does.

        None stands for the config's; then none of the run's own images may be lost.
        """
        self.max_lost = fraction or 0.0
        self.max_bad = self.config.data.max_bad_fraction if fraction is None else fraction

    def split(self, name: str, shard: Shard | None = None) -> Split:
        """Return a split of the run's own images, or a shard of it, at the input size of its model.

        Raises `DataError` if the run has no images of that split.
        """
        self.prepare_data()
        if not any(image.split == name for image in self.images):
            present = ", ".join(sorted({image.split for image in self.images if image.split}))
            raise DataError(
                f"run {self.label} has no {name} images; it has {present}", "name another --split, or --data DIR"
            )
        root, several, quantity = self.config.data.train, self.several, self.labels[0] if self.has_numbers else ""
        images = self.images if shard is None else shard.of(self.usable_of(name))
        return load_recorded_split(
            images, root, name, self.labels, self.reading, self.max_lost, several=several, quantity=quantity
        )

    def usable_of(self, split: str) -> list[Record]:
        """Return the images of a split that had no problem when the run read them."""
        return [image for image in self.images if image.split == split and not image.problem]

    def other_images(self, folder: Path, split: str, shard: Shard | None = None) -> Split:
        """Return the images of a folder or table, or a shard of them, as a split whose targets index the run's labels.

        A shard may have no image.
        """
        table = TableFormat.of(self.config.data, self.config.task)
        return load_folder_split(folder, split, self.labels, self.reading, table, shard)

    def prepare_data(self) -> None:
        """Set up the backend before Keras is imported, if the images are a `keras:` data set."""
        if is_keras(self.config.data.train):
            self._prepare_backend()

    def _prepare_backend(self) -> None:
        from transfercli.training.backend import prepare

        prepare(self.config.compute, self.config.seed, self.reporter)


# What the decoder did before these keys of the section `data`, and so what earlier runs learnt from.
_EARLIER_READING = {"background": NO_BACKGROUND, "levels": EARLIER, "profiles": IGNORE}


def as_trained(config: ExperimentConfig) -> ExperimentConfig:
    """Return the config of a run with the values that keys which its file lacks had when it was trained."""
    missing = {key: value for key, value in _EARLIER_READING.items() if key not in config.data.model_fields_set}
    data, model = config.data.model_copy(update=missing), config.model
    if model.head.taps is None:  # every head read the last layer alone
        head = model.head.model_copy(update={"taps": [], "normalisation": "none"})
        model = model.model_copy(update={"head": head})
    return config.model_copy(update={"data": data, "model": model})


def check_head(tensors: Mapping[str, np.ndarray], head: HeadConfig, output_units: int, number: int = 1) -> None:
    """Check that the stored weights have the head's sizes, before a head larger than memory is built.

    number: of the network in an average, from 1.

    Raises `ArtefactError` if a size differs.
    """
    units = [*head.hidden, output_units]
    names = [*(f"hidden{number}" for number in range(1, len(units))), "logits"]
    for layer, expected in zip(names, units, strict=True):
        name = f"member{number}_{layer}" if number > 1 else layer
        kernel = tensors.get(f"head/{name}/kernel")
        stored = kernel.shape[-1] if kernel is not None and kernel.ndim else 0
        if stored != expected:
            raise ArtefactError(
                f"the checkpoint does not fit the model: its layer {name} has {stored} units,"
                f" the config needs {expected}",
                "restore the run",
            )
