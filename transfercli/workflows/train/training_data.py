"""Small steps between a data set and a training that concern both."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from transfercli.config.schema import ExperimentConfig
from transfercli.data.dataset import Dataset, Split
from transfercli.data.load import DataRequest
from transfercli.data.manifest import read_assignments
from transfercli.errors import ConfigError
from transfercli.reporting import Reporter
from transfercli.runs.folder import splits_file
from transfercli.workflows.structure import image_size

if TYPE_CHECKING:
    from transfercli.data.batching.batches import Batches

TOLD = 20  # classes whose numbers fit on a line or two


def data_request(config: ExperimentConfig, experiment: Path) -> DataRequest:
    """What a training with this config reads; `experiment` is the folder of its runs, which knows the sides so far."""
    assignments = read_assignments(splits_file(experiment))
    return DataRequest(config.data, image_size(config), config.compute, assignments, config.seed)


def relabelled(split: Split, labels: tuple[str, ...]) -> Split:
    """The same images with targets that index `labels`, by name; every class of the split must be among them."""
    if split.labels == labels:
        return split
    places = np.array([labels.index(label) for label in split.labels], "int32")
    return replace(split, targets=places[split.targets], labels=labels)


def class_weights(wanted: Literal["balanced"] | Mapping[str, float] | None, split: Split) -> np.ndarray | None:
    """float32 [C] weights of a training split's classes, or None.

    balanced: n / (C n_c) over the C classes with images (King & Zeng 2001, as scikit-learn has it).
    """
    if wanted is None:
        return None
    counts = np.bincount(split.targets, minlength=len(split.labels))
    if wanted == "balanced":
        present = counts > 0
        return np.where(present, counts.sum() / (present.sum() * np.maximum(counts, 1)), 1.0).astype("float32")
    if set(wanted) != set(split.labels):
        missing, unknown = sorted(set(split.labels) - set(wanted)), sorted(set(wanted) - set(split.labels))
        wrong = [f"no weight for {missing}"] * bool(missing) + [f"no class named {unknown}"] * bool(unknown)
        raise ConfigError(
            f"training.class_weights: {', and '.join(wrong)}",
            f"give one weight for each of {', '.join(split.labels)}, or say balanced",
        )
    return np.array([wanted[label] for label in split.labels], "float32")


def sampled_weights(weights: np.ndarray | None, sampling: str, split: Split) -> np.ndarray | None:
    """float32 [C], what each class comes to once it is drawn as often as `sampling` says.

    For a probe, which sees each image once: a class that is drawn more often weighs more there.
    """
    if sampling != "balanced":
        return weights
    equal = class_weights("balanced", split)
    return equal if weights is None else weights * equal


def tell_classes(split: Split, weights: np.ndarray | None, sampling: str, reporter: Reporter) -> None:
    """Say once how many images each class trains on, and what they weigh; where there are many, the extremes."""
    counts = split.counts()
    said = [
        f"{label!r} {count}" + ("" if weights is None else f" (weight {weights[index]:.3g})")
        for index, (label, count) in enumerate(counts.items())
    ]
    if len(said) > TOLD:
        order = sorted(range(len(said)), key=lambda index: (-list(counts.values())[index], index))
        half = TOLD // 2
        kept = [said[index] for index in order[:half]], [said[index] for index in order[-half:]]
        said = [*kept[0], f"… {len(order) - 2 * half} more …", *kept[1]]
    reporter.info(f"training images: {', '.join(said)}" + ("; classes are drawn equally" * (sampling == "balanced")))
    if weights is not None and sampling == "balanced":
        reporter.warning("sampling: balanced and class_weights both favour rare classes; one of them is enough")


def draw_batch(path: Path, batches: Batches, labels: tuple[str, ...], *, grey: bool) -> None:
    """Draw the first batch of the first epoch, unless a run that goes on has it already."""
    from transfercli.evaluation.report.batch_picture import batch_png

    if not path.exists():
        batches.set_epoch(1)
        images, targets, _ = batches[0]
        batch_png(path, images, targets, labels, grey=grey)


def fingerprint(dataset: Dataset) -> str:
    """SHA-256 of what was learnt from: each usable image's content, label and side, whatever its name."""
    digest = hashlib.sha256()
    for row in sorted((r.sha256, r.label, r.split) for r in dataset.records if r.split):
        digest.update("\0".join(row).encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()
