"""Values that follow from a resolved config: image size, geometry and architecture."""

from __future__ import annotations

from collections.abc import Collection

from transfercli.config.schema import ExperimentConfig, HeadConfig, ModelConfig, RunWeights
from transfercli.data.image import Geometry
from transfercli.errors import ArtefactError
from transfercli.models.architecture import Architecture, Member
from transfercli.models.base_costs import MULTIPLY_ADDS
from transfercli.models.bases import BASES
from transfercli.transfer.strategies import is_solvable

# Strategies that start from a probe of several layers of the base.
MULTILAYER = ("multilayer_probe", "partial", "gradual", "full", "lora", "auto")
PLAIN_FORMATS = {"torch_safetensors"}  # whose networks read the base's output alone


def architecture(config: ExperimentConfig, labels: tuple[str, ...], members: tuple[Member, ...] = ()) -> Architecture:
    """Return the architecture of the classifier of a resolved config; members: further networks of an average."""
    return Architecture(
        base=str(config.model.base),
        image_size=image_size(config),
        channels=config.data.channels,
        head=head_of(config),
        labels=labels,
        batchnorm_trains=batchnorm_trains(config.model),
        drop_path=config.model.drop_path,
        members=members,
        task=config.task,
    )


def members_of(model: ModelConfig, tensors: Collection[str]) -> tuple[Member, ...]:
    """Return the further networks of an average; a layer is its own if `tensors`, names of weights, has its weights."""
    members = []
    for number, member in enumerate(model.members, start=2):
        start = f"base/member{number}_"
        own = {name.removeprefix(start).partition("/")[0] for name in tensors if name.startswith(start)}
        members.append(Member(member.base, member.head, own))
    return tuple(members)


def head_of(config: ExperimentConfig) -> HeadConfig:
    """Return the head of a resolved config; one that starts from a probe reads several layers unless `taps` is set.

    That is not so if the pooling is `flatten`, or an export needs a network of another library.
    """
    head, strategy = config.model.head, config.transfer.strategy
    several = strategy in MULTILAYER and is_solvable(config) and head.pooling != "flatten"
    plain = bool(PLAIN_FORMATS.intersection(config.export.formats)) and strategy != "multilayer_probe"
    if head.taps is None and (several or strategy == "multilayer_probe") and not plain:
        return head.model_copy(update={"taps": "stages"})
    if plain and head.normalisation is None and not head.taps:
        return head.model_copy(update={"normalisation": "none"})
    return head


def batchnorm_trains(model: ModelConfig) -> bool:
    """Return True if BatchNorm updates its statistics: the config starts layers of the base from random weights."""
    return model.weights == "none" or (isinstance(model.weights, RunWeights) and model.weights.until is not None)


def image_size(config: ExperimentConfig) -> tuple[int, int]:
    """Return (height, width) in pixels. Raises `ArtefactError` if the config is not resolved."""
    size = config.data.image_size
    if size is None:
        raise ArtefactError("data.image_size is not resolved")
    return (size, size) if isinstance(size, int) else size


def multiply_adds_of(config: ExperimentConfig) -> float:
    """Return the multiply-adds of the base for one image: those of its published size, by the area."""
    base, (height, width) = str(config.model.base), image_size(config)
    return MULTIPLY_ADDS[base] * height * width / BASES[base].size ** 2


def geometry_of(config: ExperimentConfig) -> Geometry:
    """Return the recipe of the pixels of a resolved config."""
    return Geometry.of(config.data, image_size(config))
