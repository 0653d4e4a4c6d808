"""Files that a new model's weights come from: found before an image is read, recorded, and the base they are for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transfercli.config.schema import ExperimentConfig, FileWeights, HubWeights
from transfercli.errors import ConfigError, TransferError, WeightsError
from transfercli.models.bases import BASES
from transfercli.models.weights.class_names import class_names
from transfercli.models.weights.file_kinds import SAFETENSORS, kind_of
from transfercli.models.weights.files import (
    WeightSource,
    check_header,
    check_weight_file,
    recognised_file,
    title_of,
    weight_path,
)
from transfercli.models.weights.foreign.fit import chosen_base
from transfercli.models.weights.hub import SETTINGS, cached, network_settings
from transfercli.models.weights.published_pixels import contradicts
from transfercli.models.weights.safetensors_reader import read_header
from transfercli.reporting import Reporter
from transfercli.text import counted
from transfercli.workflows.resolved_config import image_size

OUTPUT_KERNEL = "head/logits/kernel"  # of a file that this program wrote


def weight_source(config: ExperimentConfig) -> WeightSource | None:
    """Return the file that the base's weights are read from; None if they are random, Keras's or those of a run."""
    weights = config.model.weights
    if isinstance(weights, (FileWeights, HubWeights)):
        return weights
    row = BASES.get(str(config.model.base))
    if weights == "imagenet" and row and row.repository:
        return HubWeights(hub=row.repository.repository, file=row.repository.file)
    return None


def source_name(source: WeightSource) -> str:
    """Return the name of a weight file without the folders of this machine: a file, or REPOSITORY@REVISION."""
    if isinstance(source, FileWeights):
        return Path(source.path).name
    return f"{source.hub}@{source.revision}" if source.revision else source.hub


def check_weights(config: ExperimentConfig, reporter: Reporter) -> None:
    """Look for the weights of a new model before the images are read; published weights are downloaded now.

    Raises `WeightsError` if they are not available, `ArtefactError` if a weight file is damaged, `ConfigError` if it
    was written for another base.
    """
    source = weight_source(config)
    if source is not None:
        check_weight_file(source, reporter, str(config.model.base))
        _check_channels(config, source, reporter)
        if problem := pixels_problem(str(config.model.base), source, weight_path(source, reporter)):
            reporter.warning(f"model.base: {problem}")
    elif needs_download(config):
        from transfercli.training.backend import prepare

        prepare(config.compute, config.seed)  # before Keras is imported
        from transfercli.models.weights.pretrained import imagenet_tensors

        imagenet_tensors(str(config.model.base), image_size(config), reporter)


def header_error(config: ExperimentConfig) -> TransferError | None:
    """Return the error that a training would raise at the header of the weight file; None without one.

    None also for a file that is not here. No hash is computed and no tensor is read.
    """
    source = weight_source(config)
    if source is None or needs_download(config):
        return None
    source, base = source.model_copy(update={"sha256": None}), config.model.base
    try:
        if base == "auto":
            base_of_file(source, Reporter())
        else:
            check_header(weight_path(source, Reporter()), source, base if isinstance(base, str) else None)
        _check_channels(config, source, Reporter())
    except WeightsError:
        return None
    except TransferError as error:
        return error
    return None


def pixels_problem(base: str, source: WeightSource, path: Path) -> str | None:
    """Return a problem if the config.json of a file's repository has other pixels than the base prepares, or None."""
    pixels = contradicts(base, settings_beside(source, path))
    if pixels is None:
        return None
    return (
        f"{base} prepares images in another way than the weights were trained with: {SETTINGS} of {source_name(source)}"
        f" has {pixels}, so the features differ; use a base of the same network that has these, if there is one"
        " (transfercli weights check lists all that fit)"
    )


def _check_channels(config: ExperimentConfig, source: WeightSource, reporter: Reporter) -> None:
    if config.data.channels == 3:
        return
    path = weight_path(source, reporter)
    if kind_of(path, title_of(source)) is SAFETENSORS and recognised_file(path, source):
        raise ConfigError(
            f"data.channels: {config.data.channels}, but {path.name} has the weights of a network for colour images",
            "set data.channels to 3: grey images are read with three equal channels",
        )


def needs_download(config: ExperimentConfig) -> bool:
    """Return True if a new model starts from published weights that are not in the cache of Keras or of the Hub."""
    source = weight_source(config)
    if source is not None:
        return isinstance(source, HubWeights) and cached(source) is None
    if config.model.weights != "imagenet":
        return False
    published = BASES[str(config.model.base)].published
    return published is None or published.path_for(image_size(config)) is None


# -- the base that a file is for


def base_of_file(source: WeightSource, reporter: Reporter) -> str:
    """Return the base that a weight file was written for, for `model.base: auto`.

    Raises `ConfigError` if several bases fit, `ArtefactError` if none does, `WeightsError` if the file is missing.
    """
    path = weight_path(source, reporter)
    recognised = recognised_file(path, source) if kind_of(path, title_of(source)) is SAFETENSORS else None
    if recognised is None:
        raise ConfigError(
            f"model.base: auto, but {path.name} has the names of this program or of Keras, which do not say the base",
            "name the base that the weights were trained with",
        )
    settings = settings_beside(source, path)
    if agreeing := tuple(base for base in recognised.bases if not contradicts(base, settings)):
        recognised = replace(recognised, bases=agreeing)
    names = {base: names_of(base) for base in recognised.bases}
    base = chosen_base(recognised, hints_of(source, path), names)
    reporter.info(f"base {base}: {path.name} has {recognised.description}")
    return base


def names_of(base: str) -> Sequence[str]:
    """Return the names of a base: its own, and that of its published repository without and with the recipe."""
    repository = BASES[base].repository
    if repository is None:
        return (base,)
    name = repository.repository.rpartition("/")[2]
    return (base, name.partition(".")[0], name)


def hints_of(source: WeightSource, path: Path) -> list[str]:
    """Return names that say which network a file is of, the surest first: that in config.json, then its own name."""
    settings = settings_beside(source, path)
    published = settings.get("pretrained_cfg")
    words = [settings.get("architecture"), published.get("tag") if isinstance(published, dict) else None]
    hints = [".".join(word for word in words if isinstance(word, str))]
    return [*filter(None, hints), source.hub.rpartition("/")[2] if isinstance(source, HubWeights) else path.stem]


def settings_beside(source: WeightSource, path: Path) -> dict[str, Any]:
    """Return the content of config.json of the repository, or beside a file; empty if there is none."""
    if isinstance(source, HubWeights):
        file = cached(source)
        return file.settings if file else {}
    return network_settings(path.parent / SETTINGS)


# -- the classification head of a file


@dataclass(frozen=True)
class FileHead:
    """Classification head of a weight file. labels: the names of its classes; empty if they are not known."""

    classes: int
    labels: tuple[str, ...]


def kept_head(config: ExperimentConfig, reporter: Reporter) -> FileHead | None:
    """Return the head that `model.head.init: keep` takes from a weight file; None if it is new or that of a run.

    Raises `ConfigError` if the file has no head, or the config's head has other layers.
    """
    source = weight_source(config)
    if source is None or config.model.head.init != "keep":
        return None
    head = head_of_file(source, reporter)
    path = weight_path(source, reporter)
    if recognised_file(path, source):
        _check_head_layers(config, path.name)
    return head


def head_of_file(source: WeightSource, reporter: Reporter) -> FileHead:
    """Return the classification head of a weight file. Raises `ConfigError` if it has none of one layer."""
    path = weight_path(source, reporter)
    shape: tuple[int, ...] = ()
    if kind_of(path, title_of(source)) is SAFETENSORS:
        shapes = {name: entry.shape for name, entry in read_header(path).items()}
        recognised = recognised_file(path, source)
        if recognised:
            shape = shapes.get(f"{recognised.head_layer(shapes)}.weight", ())[::-1]
        else:
            shape = shapes.get(OUTPUT_KERNEL, ())
    if len(shape) != 2:
        raise ConfigError(
            f"model.head.init: keep, but {path.name} has no classification head of one layer", "set it to new"
        )
    return FileHead(shape[1], class_names(settings_beside(source, path), shape[1]))


def _check_head_layers(config: ExperimentConfig, file: str) -> None:
    """Raise `ConfigError` unless the config's head has the layers of the published network."""
    head, base = config.model.head, str(config.model.base)
    wanted = {"pooling": BASES[base].pooling, "hidden": [], "output": "softmax"}
    for key, value in wanted.items():
        if (received := getattr(head, key)) != value:
            raise ConfigError(
                f"model.head.{key}: {received}, but the head of {file} is kept, which was trained with {value}",
                f"set it to {value}, or model.head.init to new",
            )


def labels_of_kept_head(head: FileHead, data_labels: Sequence[str], reporter: Reporter) -> tuple[str, ...]:
    """Return the labels of a kept head without names: those of the data, sorted. Raises `ConfigError` by their number.

    With another number the head would have outputs without a class.
    """
    if head.classes != len(data_labels):
        raise ConfigError(
            f"model.head.init: keep, but the head of the file has {counted(head.classes, 'class', 'classes')} without"
            f" names, and the data has {len(data_labels)}",
            "set model.head.init to new for a head of your classes",
        )
    reporter.warning(
        "the weight file has no names of its head's classes: its outputs were given to the data's classes in sorted"
        f" order, {', '.join(data_labels[:3])} …; check them with evaluate"
    )
    return tuple(data_labels)
