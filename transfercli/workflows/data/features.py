"""Workflow of `data features`: fill the caches with all that a fine-tuning of a config will read from them.

`FeaturePlan` follows from the config and the names of the files alone, and can be sent to another process.
`FeatureFiller` builds the network once and fills the caches with any parts of the images: a shard here, or what a
worker of a cluster is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transfercli.config.schema import ExperimentConfig
from transfercli.data.cache.images import cache_root, pixel_space
from transfercli.data.corrections.source import read_corrections
from transfercli.data.dataset import CacheCounts, Dataset, Split
from transfercli.data.ingest import Reading
from transfercli.data.load import check_paths, load_dataset
from transfercli.data.sources.auxiliary import RELATED, UNLABELLED, list_all
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.data.sources.listing import Listing, check_classes, check_label_names
from transfercli.data.validation import Findings, IngestedFile, first_problems, read_images
from transfercli.errors import ConfigError
from transfercli.reporting import Reporter
from transfercli.shards import Shard
from transfercli.text import counted
from transfercli.workflows.initial_weights import check_weights
from transfercli.workflows.new_model import find_parent, labels_for, new_classifier, with_file_head, with_kept_layers
from transfercli.workflows.resolved_config import batchnorm_trains, geometry_of
from transfercli.workflows.train.job import load_for_new_run
from transfercli.workflows.train.setup import feature_cache
from transfercli.workflows.train.training_data import data_request

if TYPE_CHECKING:
    from transfercli.data.batching.batches import Batches
    from transfercli.training.phases import Phase
    from transfercli.transfer.feature_passes import FeaturePass
    from transfercli.transfer.features.features import FeatureCache
    from transfercli.transfer.phase_builder import PhaseBuilder


@dataclass(frozen=True)
class FeaturesRequest:
    """Options of `data features`. shard: the part of the images to compute; None: all."""

    config: Path
    runs: Path
    overrides: tuple[str, ...] = ()
    shard: Shard | None = None


@dataclass(frozen=True)
class FeaturePlan:
    """Work of `data features` for all images.

    Attributes:
        config: resolved. runs: folder of all runs, for one that the weights come from.
        labels: classes of the data.
        listing: all images, auxiliary ones included.
        parts: number of parts that the images will be divided into.
    """

    config: ExperimentConfig
    runs: Path
    labels: tuple[str, ...]
    listing: Listing
    parts: int = 1

    def with_cache(self, folder: Path) -> FeaturePlan:
        """Return the plan for the caches in another folder, such as one on a worker's own disk."""
        compute = self.config.compute.model_copy(update={"cache_dir": str(folder)})
        return replace(self, config=self.config.model_copy(update={"compute": compute}))

    def uses_of(self, split: str) -> frozenset[str]:
        """Return the uses that an image may have in a training, by the split that the source gives it.

        A training image may be drawn for validation, which only all images together decide.
        """
        from transfercli.transfer.feature_passes import AUXILIARY, LABELLED

        if split in (UNLABELLED, RELATED):
            return frozenset({AUXILIARY})
        drawn = "validation" in self.listing.fractions or bool(self.config.data.folds)
        return LABELLED if split == "train" and drawn else LABELLED & {split}

    def counts(self) -> tuple[int, int]:
        """Return the expected numbers of training and of validation images."""
        numbers = Counter(item.split for item in self.listing.items)
        numbers.update({arrays.split: len(arrays.images) for arrays in self.listing.arrays})
        fractions, folds = self.listing.fractions, self.config.data.folds
        drawn = round(numbers["train"] * (1 / folds if folds else fractions.get("validation", 0.0)))
        tested = round(numbers["train"] * fractions.get("test", 0.0))
        return numbers["train"] - drawn - tested, numbers["validation"] + drawn


@dataclass(frozen=True)
class FeaturesResult:
    """Contents of the caches that a training will find.

    Attributes:
        folder: of the caches.
        images: number of usable images; unreadable: number of others.
        passes: {"layer", "shape", "precision", "views"} of each kind of features.
        caches: {"images", "features"} -> {"hits", "misses", "bytes"}; a miss was computed now.
    """

    folder: Path
    shard: Shard | None
    images: int
    unreadable: int
    passes: list[dict[str, Any]]
    caches: dict[str, dict[str, int]]

    def as_json(self) -> dict[str, Any]:
        return {
            "shard": str(self.shard) if self.shard else None,
            "folder": str(self.folder),
            "images": self.images,
            "unreadable": self.unreadable,
            "features": self.passes,
            "cache": self.caches,
        }


def fill_features(request: FeaturesRequest, reporter: Reporter) -> FeaturesResult:
    """Fill the caches for a fine-tuning of a config, or for a shard of its images.

    Raises `ConfigError` if the config keeps no cache, `DataError` if a training would refuse the data; a shard refuses
    only what the names of the files show.
    """
    config = resolved(request, reporter)
    if request.shard is None or request.shard.count == 1:
        dataset = load_dataset(data_request(_requiring_cache(config), request.runs / config.name), reporter)
        plan = FeaturePlan(config, request.runs, dataset.labels, Listing([]))
        filler = FeatureFiller(plan, reporter, dataset)
        filler.fill_dataset(dataset)
    else:
        plan = replace(feature_plan(config, request.runs, reporter), parts=request.shard.count)
        filler = FeatureFiller(plan, reporter)
        filler.fill(plan.listing.part(request.shard))
    return filler.result(request.shard)


def resolved(request: FeaturesRequest, reporter: Reporter) -> ExperimentConfig:
    """Return the config that `finetune` would train with. Raises `ConfigError` if it keeps no cache."""
    loaded = load_for_new_run(request.config, request.overrides, "finetune", request.runs, reporter)
    config = with_kept_layers(loaded.config, request.runs)
    if config.compute.cache == "off":
        with loaded.placing():
            raise ConfigError(
                "compute.cache: is off, and data features fills the caches", "set compute.cache to auto or require"
            )
    if is_keras(config.data.train):
        from transfercli.training.backend import prepare

        prepare(config.compute, config.seed)  # before Keras is imported for its data sets
    check_weights(config, reporter)
    return config


def feature_plan(config: ExperimentConfig, runs: Path, reporter: Reporter) -> FeaturePlan:
    """List all images of a config. Raises `DataError` if their names show that no training could begin."""
    listing, auxiliary = list_all(config.data, reporter, config.task)
    check_paths(listing, config.data, config.compute)
    corrections = read_corrections(config.data, reporter)
    if corrections is None:  # else the names of the classes follow from the images
        check_classes(listing)
        check_label_names(listing, config.data.expect)
    others = [*auxiliary.unlabelled, *(item for items in auxiliary.related for item in items)]
    given = corrections.new_labels() if corrections and not listing.several else set()
    labels = tuple(sorted(listing.classes | given))
    return FeaturePlan(config, runs, labels, replace(listing, items=[*listing.items, *others]))


def _requiring_cache(config: ExperimentConfig) -> ExperimentConfig:
    """Return the config for reading images, which fails if the image cache cannot be used."""
    return config.model_copy(update={"compute": config.compute.model_copy(update={"cache": "require"})})


class FeatureFiller:
    """Filler of the caches with parts of the images. The network is built at the start, once.

    dataset: all images, if they are read; their precision is then checked as a training checks it. Without, it is
    checked on the first images by name, some of which a training may set aside for its test.
    """

    def __init__(self, plan: FeaturePlan, reporter: Reporter, dataset: Dataset | None = None) -> None:
        from transfercli.training.backend import prepare

        self.plan, self.config, self.reporter = plan, plan.config, reporter
        prepare(self.config.compute, self.config.seed)
        cache = feature_cache(self.config, reporter)
        assert cache is not None, "resolved() refuses a config without a cache"
        self.cache: FeatureCache = cache
        self.images, self.unreadable, self.ingested = 0, 0, CacheCounts()
        self.rows = dict[str, int]()  # of each kind of features
        self._dataset = dataset

    def fill_dataset(self, dataset: Dataset) -> None:
        """Fill the caches with all images of a data set, whose splits are known."""
        from transfercli.transfer.feature_passes import AUXILIARY

        self.images += sum(map(len, dataset.splits.values())) + sum(map(len, dataset.auxiliary.splits.values()))
        self.unreadable += len(dataset.bad)
        self._count(dataset.cache)
        for split in dataset.splits.values():
            self._compute(split, [frozenset({split.name})] * len(split))
        for split in dataset.auxiliary.splits.values():
            self._compute(split, [frozenset({AUXILIARY})] * len(split))

    def fill(self, listing: Listing) -> None:
        """Read a part of the plan's images, and fill the caches with it.

        An image that cannot be read is counted, with a warning: a training decides on all images together.
        """
        findings = read_images(listing, self._reading)
        if bad := [file for file in findings.files if file.is_image and file.entry.problem]:
            self.reporter.warning(f"{counted(len(bad), 'image')} cannot be used: {first_problems(bad)}")
        self.images, self.unreadable = self.images + len(findings.usable), self.unreadable + len(bad)
        self._count(findings.ingest.counts)
        images = _unlabelled(findings, findings.usable)
        self._compute(images, [self.plan.uses_of(file.split) for file in findings.usable])

    def result(self, shard: Shard | None = None) -> FeaturesResult:
        """Return the contents of the caches for all images so far."""
        row_bytes = pixel_space(geometry_of(self.config)).row_bytes
        sizes = [self.rows[_name(one)] * one.prefix.row_bytes for one in self.passes if _name(one) in self.rows]
        images = {"hits": self.ingested.hits, "misses": self.ingested.misses, "bytes": self.images * row_bytes}
        features = {"hits": self.cache.hits, "misses": self.cache.misses, "bytes": sum(sizes)}
        return FeaturesResult(
            cache_root(self.config.compute),
            shard,
            self.images,
            self.unreadable,
            [_facts(one) for one in self.passes],
            {"images": images, "features": features},
        )

    @property
    def _reading(self) -> Reading:
        compute = _requiring_cache(self.config).compute
        return Reading(geometry_of(self.config), self.config.data.max_bad_fraction, compute, self.reporter)

    @cached_property
    def builder(self) -> PhaseBuilder:
        """The builder of the phases, on a classifier with the initial weights of a training."""
        from transfercli.data.batching.augment import build
        from transfercli.training.precision.native import feature_precision
        from transfercli.transfer.phase_builder import PhaseBuilder
        from transfercli.transfer.training_inputs import TrainingInputs

        config = self.config
        parent = with_file_head(find_parent(config, self.plan.runs), config, self.reporter)
        labels = labels_for(config, parent, self.plan.labels, self.reporter)
        classifier, _ = new_classifier(config, parent, labels, self.reporter)
        precision = feature_precision(config.compute)
        inputs = TrainingInputs(
            *self._checked_images(precision),
            _no_batches,
            config.augmentation,
            build(config.augmentation, len(labels)),
            None,
            config.seed,
            precision,
            batchnorm_trains(config.model),
            config.compute.cache == "require",
        )
        builder = PhaseBuilder(classifier, inputs, self.cache, self.reporter)
        if self._dataset is None:
            builder.counts, builder.parts = self.plan.counts(), self.plan.parts
        return builder

    def _checked_images(self, precision: str) -> tuple[Split, Split]:
        """Return training and validation images by whose first ones the precision of features is checked."""
        if self._dataset is not None:
            return self._dataset.splits["train"], self._dataset.splits["validation"]
        from transfercli.transfer.features.prefix import BATCH

        few = slice(0 if precision == "float32" else BATCH)
        items = [item for item in self.plan.listing.items if self._is_labelled(item.split)]
        arrays = [one.at(few) for one in self.plan.listing.arrays if self._is_labelled(one.split)]
        first = replace(self.plan.listing, items=sorted(items, key=lambda item: item.name)[few], arrays=arrays[:1])
        findings = read_images(first, self._reading)
        return _unlabelled(findings, findings.usable), _unlabelled(findings, [])

    def _is_labelled(self, split: str) -> bool:
        from transfercli.transfer.feature_passes import LABELLED

        return bool(self.plan.uses_of(split) & LABELLED)

    @cached_property
    def passes(self) -> list[FeaturePass]:
        """The passes whose features a training will read."""
        from transfercli.transfer.feature_passes import feature_passes
        from transfercli.transfer.strategies import needs_measuring, phases_of

        phases: list[Phase]
        if needs_measuring(self.config):
            from transfercli.training.phases import PROBE

            self.reporter.info(
                "transfer.strategy: auto decides by the features of the whole base, which are computed here; those of"
                " a part of it, if it then trains the rest, are left to the training"
            )
            phases = [PROBE]
        else:
            phases = phases_of(self.config, tuple(self.builder.classifier.stages))
        return feature_passes(self.builder, phases)

    def _compute(self, split: Split, uses: Sequence[frozenset[str]]) -> None:
        """Compute and store the features of images that are not stored yet. uses: of each image."""
        from transfercli.transfer.features.features import features_of

        for one in self.passes:
            rows = np.array([row for row, may in enumerate(uses) if may & one.uses], np.int64)
            if not len(rows):
                continue
            features = features_of(split.at(rows), one.prefix, self.cache, self.reporter, _refuse, one.views)
            name = _name(one)
            self.rows[name] = self.rows.get(name, 0) + len(features.rows)
            features.release()

    def _count(self, counts: CacheCounts) -> None:
        self.ingested = CacheCounts(self.ingested.hits + counts.hits, self.ingested.misses + counts.misses)


def _refuse(reason: str) -> None:
    raise ConfigError(f"data features: {reason}", "free disk space, or set compute.cache_dir or compute.cache_max_gb")


def _no_batches(*_: object) -> Batches:
    raise AssertionError("nothing is trained here")


def _unlabelled(findings: Findings, files: Sequence[IngestedFile]) -> Split:
    """Return images as a split without targets: features do not depend on them."""
    return Split(
        "",
        tuple(file.name for file in files),
        np.zeros(len(files), np.int32),
        findings.labels,
        findings.ingest.images([file.entry for file in files], [file.redo for file in files]),
        tuple(file.entry.sha256 for file in files),
    )


def _name(one: FeaturePass) -> str:
    """Return a name for a kind of features."""
    return f"{one.prefix.cut.key}, {one.views.key if one.views else 'plain'}"


def _facts(one: FeaturePass) -> dict[str, Any]:
    cut, views = one.prefix.cut, one.views.count if one.views else None
    return {
        "layer": cut.last_layer,
        "shape": list(cut.feature_shape),
        "precision": one.prefix.precision,
        "views": views,
    }
