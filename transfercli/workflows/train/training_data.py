"""Training inputs derived from a data set: class indices, class weights, the first batch, a fingerprint."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from transfercli.config.schema import DataConfig, ExperimentConfig
from transfercli.data.dataset import Dataset, Split
from transfercli.data.label_sets import UNKNOWN
from transfercli.data.load import DataRequest
from transfercli.data.manifest import read_assignments
from transfercli.data.sources.labels import find_label, shown
from transfercli.errors import ConfigError
from transfercli.models.tasks.standardisation import Standardisation
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder, splits_file
from transfercli.runs.listing import runs_of
from transfercli.text import counted
from transfercli.workflows.resolved_config import image_size

if TYPE_CHECKING:
    from transfercli.data.batching.batches import Batches

MAX_CLASSES_SHOWN = 20  # their counts fit on two lines


def data_request(config: ExperimentConfig, experiment: Path, earlier: Path | None = None) -> DataRequest:
    """Return the data request of a config.

    experiment: folder of its runs, whose splits.csv keeps earlier splits. earlier: folder with all of its runs, if
    `experiment` is a copy with one of them.
    """
    assignments = read_assignments(splits_file(experiment))
    earlier = earlier or experiment
    pixel_files = tuple(run.pixels for run in runs_of(earlier)) if earlier.is_dir() else ()
    about = config.data, image_size(config), config.compute, assignments, config.seed
    return DataRequest(*about, pixel_files=pixel_files, task=config.task)


def with_recorded_corrections(config: DataConfig, run: RunFolder) -> DataConfig:
    """Return the data section with the label decisions that a run used, so that it goes on with the same labels."""
    return config.model_copy(update={"corrections": str(run.corrections.absolute())})


def with_labels(split: Split, labels: tuple[str, ...]) -> Split:
    """Return the split with targets that are indices of `labels`, which must contain every class of the split.

    If an image may have several labels, those that the split does not have are unknown: the data says nothing of them.
    """
    if split.labels == labels:
        return split
    indices = np.array([labels.index(label) for label in split.labels], "int32")
    if split.several:
        targets = np.full((len(split), len(labels)), UNKNOWN, "int32")
        targets[:, indices] = split.targets
        return replace(split, targets=targets, labels=labels)
    return replace(split, targets=indices[split.targets], labels=labels)


def class_weights(setting: Literal["balanced"] | Mapping[str, float] | None, split: Split) -> np.ndarray | None:
    """Return float32 [C] weights of the classes of a training split, or None if `setting` is None.

    balanced: n / (C n_c) over the C classes with images (King & Zeng 2001, as in scikit-learn). Raises `ConfigError` if
    a mapping does not have exactly the classes of the split.
    """
    if setting is None:
        return None
    if setting == "balanced" and split.several:
        return positive_weights(split.targets)
    counts = np.array(list(split.counts().values()))
    if setting == "balanced":
        present = counts > 0
        return np.where(present, counts.sum() / (present.sum() * np.maximum(counts, 1)), 1.0).astype("float32")
    weights = _weights_by_class(setting, split.labels)
    return np.array([weights[label] for label in split.labels], "float32")


def positive_weights(targets: np.ndarray) -> np.ndarray:
    """Return float32 [L] weights that make the presence of each label count as much as its absence.

    They are the number of its negatives by that of its positives (`pos_weight`).

    targets: int [N, L], as in `Split`. A label that no image has, or every image, gets 1.
    """
    positives, negatives = (targets == 1).sum(axis=0), (targets == 0).sum(axis=0)
    both = (positives > 0) & (negatives > 0)
    return np.where(both, negatives / np.maximum(positives, 1), 1.0).astype("float32")


def _weights_by_class(setting: Mapping[str, float], labels: Sequence[str]) -> dict[str, float]:
    """Return class -> weight. Raises `ConfigError` if a class has no weight or two, or a name is no class."""
    named = {name: find_label(name, labels) for name in setting}
    twice = [label for label, number in Counter(named.values()).items() if label is not None and number > 1]
    missing, unknown = sorted(set(labels) - set(named.values())), sorted(n for n, label in named.items() if not label)
    errors = [
        f"{problem} {', '.join(shown(name, others) for name in names)}"
        for problem, names, others in (
            ("no weight for", missing, unknown),
            ("no class named", unknown, missing),
            ("two weights for", twice, ()),
        )
        if names
    ]
    if errors:
        raise ConfigError(
            f"training.class_weights: {', and '.join(errors)}",
            f"give one weight for each of {', '.join(labels)}, or set it to balanced",
        )
    return {label: setting[name] for name, label in named.items() if label is not None}


def sampled_weights(weights: np.ndarray | None, sampling: str, split: Split) -> np.ndarray | None:
    """Return float32 [C] class weights with the same effect as `class_weights` and `sampling` together, or None.

    For a probe, which uses each image once: a class that would be sampled more often gets a larger weight instead.
    """
    if sampling != "balanced":
        return weights
    if split.several:
        raise ConfigError(
            "training.sampling: balanced draws all classes equally often, but an image may have several labels here",
            "set training.sampling to shuffle; training.class_weights: balanced weighs rare labels higher",
        )
    equal = class_weights("balanced", split)
    return equal if weights is None else weights * equal


def report_class_counts(split: Split, weights: np.ndarray | None, sampling: str, reporter: Reporter) -> None:
    """Report the number of training images and the weight of each class; of many classes only the extremes."""
    if split.has_numbers:
        scale, numbers = Standardisation.of(split.targets), split.targets
        reporter.info(
            f"{counted(len(split), 'training image')}: {split.labels[0]} from {numbers.min():g} to {numbers.max():g},"
            f" mean {scale.mean:.4g}, standard deviation {scale.deviation:.4g}"
        )
        return
    counts = split.counts()
    entries = [
        f"{label!r} {count}" + ("" if weights is None else f" (weight {weights[index]:.3g})")
        for index, (label, count) in enumerate(counts.items())
    ]
    if len(entries) > MAX_CLASSES_SHOWN:
        order = sorted(range(len(entries)), key=lambda index: (-list(counts.values())[index], index))
        half = MAX_CLASSES_SHOWN // 2
        most, fewest = [entries[index] for index in order[:half]], [entries[index] for index in order[-half:]]
        entries = [*most, f"… {len(order) - 2 * half} more …", *fewest]
    reporter.info(f"training images: {', '.join(entries)}" + ("; classes are drawn equally" * (sampling == "balanced")))
    if weights is not None and sampling == "balanced":
        reporter.warning("sampling: balanced and class_weights both favour rare classes; one of them is enough")


def draw_batch(path: Path, batches: Batches, labels: tuple[str, ...], *, grey: bool) -> None:
    """Write a picture of the first batch of the first epoch, unless a resumed run has it already."""
    from transfercli.evaluation.report.batch_picture import batch_png

    if not path.exists():
        batches.set_epoch(1)
        images, targets = batches.seen_by_network(0)
        batch_png(path, images, targets, labels, grey=grey, several=batches.targets.ndim == 2)


def fingerprint(dataset: Dataset) -> str:
    """Return the SHA-256 of the content, label and split of every usable image; file names do not count.

    Auxiliary images count, too, and a related one with its place in `data.related`.
    """
    digest, auxiliary = hashlib.sha256(), dataset.auxiliary
    keys = [(record.sha256, record.label, record.split) for record in dataset.records if record.split]
    if auxiliary.unlabelled is not None:
        keys += [(sha256, "", "unlabelled") for sha256 in auxiliary.unlabelled.sha256s]
    if (related := auxiliary.related) is not None:
        rows = zip(related.sha256s, related.targets, auxiliary.domains, strict=True)
        keys += [(sha256, related.labels[target], f"related {domain}") for sha256, target, domain in rows]
    for key in sorted(keys):
        digest.update("\0".join(key).encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()
