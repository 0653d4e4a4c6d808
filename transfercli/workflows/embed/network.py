"""Network that makes embeddings: that of a run, or a base with published weights or those of a file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from transfercli.config import registries
from transfercli.config.loader import resolve
from transfercli.config.schema import ExperimentConfig
from transfercli.config.starter import ChosenBase
from transfercli.data.ingest import Reading
from transfercli.errors import ArtefactError, UsageError, WeightsError
from transfercli.models.weights.targets import source_of
from transfercli.reporting import Reporter
from transfercli.rows import Indices, Rows, TransformedRows
from transfercli.runs.listing import is_run_folder
from transfercli.runs.lookup import is_experiment
from transfercli.transfer.embeddings.embeddings import Embeddings, Origin
from transfercli.workflows.config.base_choice import named_base
from transfercli.workflows.data.image_features import ImageFeatures, NetworkFeatures
from transfercli.workflows.initial_weights import check_weights
from transfercli.workflows.new_model import Parent, new_classifier
from transfercli.workflows.resolved_config import geometry_of
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.data.dataset import Split
    from transfercli.models.classifier import Classifier

Layers = Literal["last", "all"]
Normalise = Literal["none", "length", "root"]
IMAGENET = "imagenet"
LAST = "last"  # name of the base's output among the layers
CONFIG_HINT = re.compile(r"(^set model\.weights|; or start from).*")  # part of a hint that is for a config
UNUSED_LABELS = ("0", "1")  # of a base's head, which makes no embedding


@dataclass(frozen=True)
class PublishedBase:
    """A base with published weights or those of a file, which reads images as a fine-tuning of it does by default.

    config: resolved.
    """

    config: ExperimentConfig
    reporter: Reporter

    @property
    def label(self) -> str:
        """The name of the base."""
        return str(self.config.model.base)

    @property
    def reading(self) -> Reading:
        """Settings for reading images."""
        config = self.config
        return Reading(geometry_of(config), config.data.max_bad_fraction, config.compute, self.reporter)

    @cached_property
    def classifier(self) -> Classifier:
        """The base below a head that is not used. Raises `WeightsError` or `ArtefactError` as a training does."""
        from transfercli.training.backend import prepare

        prepare(self.config.compute, self.config.seed)
        return new_classifier(self.config, Parent(), UNUSED_LABELS, self.reporter)[0]


EmbeddingNetwork = StoredRun | PublishedBase


def find_network(name: str, runs: Path, weights: str | None, layers: Layers, reporter: Reporter) -> EmbeddingNetwork:
    """Return the run or base that a RUN|BASE of the command line names; a run goes before a base of the same name.

    Args:
        name: a run, or a base as `bases list` or another library writes it.
        weights: `imagenet`, FILE or hub:REPO; then `name` is a base. None: a run, or the published weights of a base.
        layers: `all` taps the upper stages of a base; a run has the taps that it was trained with.

    Raises `ArtefactError` if there is neither, `UsageError` if the weights are for a base and it is none,
    `WeightsError` if weights are missing.
    """
    base = registries.row_name("base", name)
    is_run = is_experiment(name, runs) or is_run_folder(Path(name))
    if weights is None and (is_run or base is None):
        return _find_run(name, runs, reporter)
    if base is None:
        raise UsageError(
            f"--weights are for a base, and {name!r} names none",
            registries.hint("base", name) or "transfercli bases list has them all",
        )
    return _base_with(named_base(name, Path()), weights, layers, reporter)


def _base_with(base: ChosenBase, weights: str | None, layers: Layers, reporter: Reporter) -> PublishedBase:
    """Return a base with weights as `find_network` describes; those of the repository that names it by default."""
    source: Mapping[str, object] = base.weights if weights is None else {}
    if weights not in (None, IMAGENET):
        source = source_of(str(weights)).model_dump(exclude_defaults=True)
    head = {"taps": "stages" if layers == "all" else []}
    model = {"base": base.name, "weights": source or IMAGENET, "head": head}
    config = ExperimentConfig.model_validate({"name": base.name, "data": {"train": "."}, "model": model})
    network = PublishedBase(resolve(config, "finetune"), reporter)
    with _without_keys():
        check_weights(network.config, reporter)
    return network


def _find_run(name: str, runs: Path, reporter: Reporter) -> StoredRun:
    try:
        return StoredRun.find(name, runs, reporter)
    except ArtefactError as error:
        if not is_experiment(name, runs) and not is_run_folder(Path(name)):
            guess = registries.hint("base", name)
            error.hint = f"{error.hint}; or name a base: {guess or 'transfercli bases list has them all'}"
        raise


@contextmanager
def _without_keys() -> Iterator[None]:
    """Name the option in a message about missing weights, and not the key of a config."""
    try:
        yield
    except WeightsError as error:
        message = error.message.removeprefix("model.weights: ").replace("imagenet, but ", "", 1)
        other = "give other weights with --weights FILE or --weights hub:OWNER/NAME; bases list --here has those here"
        way = CONFIG_HINT.sub("", error.hint or "")
        raise WeightsError(message, "; or ".join(filter(None, [way, other]))) from error


@dataclass(frozen=True)
class Embedder:
    """Function from images to embeddings.

    Attributes:
        features: of the network; an `ImageFeatures` for a run.
        origin: of the embeddings.
    """

    features: NetworkFeatures
    origin: Origin

    @classmethod
    def of(cls, network: EmbeddingNetwork, layers: Layers, normalise: Normalise) -> Embedder:
        """Return the embedder of a network; with `all`, of all layers that its head reads."""
        features = ImageFeatures(network) if isinstance(network, StoredRun) else NetworkFeatures(network)
        parts = features.cut.parts if layers == "all" else ()
        names = (*features.classifier.taps, LAST) if parts else (LAST,)
        widths = tuple(part.width for part in parts) or (_width(features),)
        if layers == "all" and not parts:
            network.reporter.warning(f"--layers all: the head of {network.label} reads the last layer only")
        return cls(features, Origin(_network_key(features), network.label, names, widths, normalise))

    def embed(self, split: Split) -> tuple[Embeddings, Rows]:
        """Return the embeddings of a split's images, and the output of the head's poolings, which they are made of."""
        pooled = self.features.pooled(split)
        return Embeddings(self.origin, TransformedRows(pooled, self._of_pooled), split.paths, split.sha256s), pooled

    def _of_pooled(self, pooled: np.ndarray, _rows: Indices) -> np.ndarray:
        from transfercli.models.normalised import normalised

        vectors = self.features.of_pooled(pooled) if self.origin.layers == (LAST,) else pooled
        return normalised(vectors, self.origin.widths, cast(Normalise, self.origin.normalise))


def _width(features: NetworkFeatures) -> int:
    """Return the length of the vector of the base's output."""
    no_image = np.zeros((0, *features.cut.feature_shape), "float32")
    return int(features.of_pooled(no_image).shape[1])


def _network_key(features: NetworkFeatures) -> str:
    """Return a hash of the network and of the preparation of its images.

    The versions of decoders and of the backend, which change features by rounding only, are no part of it.
    """
    import keras

    geometry = asdict(geometry_of(features.config))
    del geometry["max_megapixels"]
    facts = [features.cut.parts[-1].key if features.cut.parts else features.cut.key, geometry]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for variable in features.classifier.base.weights:
        value = keras.ops.convert_to_numpy(variable)
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()[:32]
